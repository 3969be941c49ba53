"""The results folder against torn lines, full disks, locks and other people's lines."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.errors import StoreError
from oomph.records.schema import Record
from oomph.records.store import RECORDS, Store

Make = Callable[..., Record]
NOBODY = 65534
HOLDER = """
import sys, time
from oomph.records.store import Store
with Store(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_is_appended_is_read_back_in_order(tmp_path: Path, make_record: Make) -> None:
    written = [make_record(number) for number in range(3)]
    with Store(tmp_path / "new" / "folder") as store:
        for record in written:
            store.append(record)
            assert list(Store(store.folder).records())[-1] == record, "on disk before the next"
    assert list(store.records()) == written
    assert store.healed is None


def test_a_folder_without_records_has_none(tmp_path: Path) -> None:
    assert list(Store(tmp_path / "nothing").records()) == []


def test_a_line_torn_at_any_byte_is_cut_off_and_said_and_costs_only_itself(
    tmp_path: Path, make_record: Make
) -> None:
    whole = make_record(1).model_dump_json().encode() + b"\n"
    torn = make_record(2).model_dump_json().encode()
    for n_bytes in range(1, len(torn) + 1, 7):
        (tmp_path / RECORDS).write_bytes(whole + torn[:n_bytes])
        assert [record.record_id for record in Store(tmp_path).records()] == ["r1"]
        with Store(tmp_path) as store:
            assert store.healed is not None
            assert f"{n_bytes} bytes" in store.healed
            store.append(make_record(3))
        assert [record.record_id for record in store.records()] == ["r1", "r3"]


def test_a_foreign_line_is_named_and_unknown_keys_are_kept(
    tmp_path: Path, make_record: Make
) -> None:
    newer = json.loads(make_record(1).model_dump_json()) | {"new_key": 1}
    newer["outcome"]["newer_still"] = 2
    path = tmp_path / RECORDS
    path.write_text(json.dumps(newer) + "\n{}\n")
    records = Store(tmp_path).records()
    first = next(records)
    assert first.model_extra == {"new_key": 1}
    assert json.loads(first.model_dump_json())["outcome"]["newer_still"] == 2
    with pytest.warns(UserWarning, match=rf"{path}: line 2 is no record .*record_id"):
        assert next(records, None) is None


def test_a_second_writer_is_refused_until_the_first_is_gone(
    tmp_path: Path, make_record: Make
) -> None:
    with Store(tmp_path), pytest.raises(StoreError, match="another sweep"), Store(tmp_path):
        pass
    with Store(tmp_path) as store:
        store.append(make_record())


def test_the_lock_is_the_files_own(tmp_path: Path, make_record: Make) -> None:
    """Removing what lies beside it lets nobody in."""
    with Store(tmp_path) as store:
        store.append(make_record())
        for other in tmp_path.iterdir():
            if other.name != RECORDS:
                other.unlink()
        with pytest.raises(StoreError, match="another sweep"), Store(tmp_path):
            pass
        assert os.listdir(tmp_path) == [RECORDS]


def _replace(path: Path) -> None:
    other = path.with_name("edited")
    other.write_bytes(path.read_bytes())
    other.replace(path)


FAULTS = {
    "removed": (Path.unlink, "was removed", ["r1", "r2", "r3"]),
    "replaced": (_replace, "was replaced by another file", ["r1", "r2", "r3"]),
    "emptied": (
        lambda path: path.write_text(""),
        r"was changed by another program \(it has 0 bytes",
        ["r3"],
    ),
    "written": (
        lambda path: path.open("a").write("{}\n"),
        "was changed by another",
        ["r1", "r2", None, "r3"],
    ),
}


@pytest.mark.parametrize(("change", "says", "rescued"), FAULTS.values(), ids=FAULTS.keys())
def test_a_file_that_is_no_longer_ours_is_not_written_and_nothing_is_lost(
    tmp_path: Path,
    make_record: Make,
    change: Callable[[Path], object],
    says: str,
    rescued: list[str | None],
) -> None:
    with Store(tmp_path) as store:
        store.append(make_record(1))
        store.append(make_record(2))
        change(store.path)
        was = store.path.read_bytes() if store.path.exists() else None
        with pytest.raises(
            StoreError, match=rf"records.jsonl {says}.* is in .*records.rescued-1.jsonl"
        ):
            store.append(make_record(3))
        assert (store.path.read_bytes() if store.path.exists() else None) == was
    lines = (tmp_path / "records.rescued-1.jsonl").read_text().splitlines()
    assert [json.loads(line).get("record_id") for line in lines] == rescued


def test_a_folder_that_is_moved_away_is_not_made_again(tmp_path: Path, make_record: Make) -> None:
    with Store(tmp_path / "folder") as store:
        store.append(make_record(1))
        store.folder.rename(tmp_path / "moved")
        with pytest.raises(StoreError, match="was removed while a sweep was writing it"):
            store.append(make_record(2))
    assert not store.folder.exists()
    assert [record.record_id for record in Store(tmp_path / "moved").records()] == ["r1"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match="another sweep"), Store(tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with Store(tmp_path):
        pass


def test_a_disk_that_fills_keeps_earlier_records_whole(tmp_path: Path, make_record: Make) -> None:
    """The file may grow no further than into the third record, as on a disk with that much left."""
    line = len(make_record(0).model_dump_json()) + 1

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * line + line // 2,) * 2)
        with Store(tmp_path) as store:
            for number in range(9):
                store.append(make_record(number))

    error = _error_in_child(fill)
    assert str(tmp_path) in error
    assert "cannot be written" in error
    with Store(tmp_path) as store:
        assert store.healed is None, "the part that was written has been taken back"
        store.append(make_record(2))
    assert [record.record_id for record in store.records()] == ["r0", "r1", "r2"]


def _error_in_child(act: Callable[[], None]) -> str:
    """The StoreError that `act` ends with in a child process, whose limits end with it."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            act()
        except StoreError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.mark.parametrize("folder", ["/proc/oomph", "file/folder"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreError, match=rf"{folder} cannot be written .*--out"),
        Store(tmp_path / folder),
    ):
        pass


def test_a_read_only_folder_is_named_and_keeps_its_records(make_record: Make) -> None:
    """As nobody where the tests run as root, whom permissions do not hold back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store(folder) as store:
            store.append(make_record(1))
        folder.chmod(0o555)
        (folder / RECORDS).chmod(0o444)

        def write() -> None:
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            with Store(folder) as store:
                store.append(make_record(2))

        error = _error_in_child(write)
        assert f"{folder} cannot be written (Permission denied)" in error
        assert "earlier records are untouched" in error
        assert [record.record_id for record in store.records()] == ["r1"]
        folder.chmod(0o755)


def test_writing_needs_the_lock(tmp_path: Path, make_record: Make) -> None:
    with pytest.raises(StoreError, match="with store"):
        Store(tmp_path).append(make_record())


def test_a_kill_at_any_moment_loses_no_record_that_was_acknowledged(
    tmp_path: Path, make_record: Make
) -> None:
    acknowledged: list[str] = []
    for kill in range(60):
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            with Store(tmp_path) as store:
                for number in range(10_000):
                    store.append(make_record(kill * 10_000 + number))
                    os.write(write, f"r{kill * 10_000 + number}\n".encode())
        os.close(write)
        with os.fdopen(read) as pipe:
            # every other one is killed while it writes, however slow the machine; the rest at any
            # moment
            if kill % 2:
                acknowledged += pipe.readline().split()
            time.sleep((kill % 20) / 1000)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            acknowledged += pipe.read().split()
    with Store(tmp_path) as store:
        found = [record.record_id for record in store.records()]
    assert len(found) == len(set(found))
    assert len(acknowledged) >= 30
    assert set(acknowledged) <= set(found)
    assert len(found) <= len(acknowledged) + 60, "at most the one in hand is there unacknowledged"


def test_a_held_store_can_be_entered_again_and_is_free_after_the_last(
    tmp_path: Path, make_record: Make
) -> None:
    store, other = Store(tmp_path), Store(tmp_path)
    with store:
        with store:
            store.append(make_record())
        store.append(make_record())
        with pytest.raises(StoreError, match="another sweep"), other:
            pass
    with other:
        other.append(make_record())
    assert len(list(store.records())) == 3


def test_a_store_has_a_length_and_is_gone_through(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    store = Store(tmp_path)
    assert (len(store), list(store)) == (0, [])
    with store:
        store.append(make_record(1))
        store.append(make_record(2))
    assert [record.record_id for record in store] == [make_record(n).record_id for n in (1, 2)]
    with store.path.open("ab") as file:
        file.write(b'{"torn')
    assert len(store) == len(list(store)) == 2
