"""Files are written whole or not at all, on a disk that is really full too."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oomph.errors import StoreError
from oomph.files import replacing, write_file, write_files


def test_a_full_disk_leaves_what_was_there_and_is_one_sentence(small_disk: Path) -> None:
    path = write_file(small_disk / "report.md", "old")
    with pytest.raises(StoreError, match=r"report\.md cannot be written \(No space left") as caught:
        write_file(path, "new" * 1_000_000)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert os.listdir(small_disk) == ["report.md"]


def test_of_several_files_none_is_replaced_where_one_has_no_room(small_disk: Path) -> None:
    write_files({small_disk / name: "old" for name in "ab"})
    with pytest.raises(StoreError, match="b cannot be written"):
        write_files({small_disk / "a": "new", small_disk / "b": "new" * 1_000_000})
    assert {path.name: path.read_text() for path in small_disk.iterdir()} == {
        "a": "old",
        "b": "old",
    }


def test_a_limit_on_the_size_of_files_is_a_sentence_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import resource, signal, sys\n"
            "from pathlib import Path\n"
            "from oomph.errors import StoreError\n"
            "from oomph.files import write_file\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "try:\n    write_file(Path(sys.argv[1]), 'x' * 2000)\n"
            "except StoreError as error:\n    print(error)\n",
            str(tmp_path / "x"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "x cannot be written (File too large)" in done.stdout
    assert os.listdir(tmp_path) == []


def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "target", tmp_path / "link"
    write_file(path, "old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    path.chmod(0o640)
    link.symlink_to(path)
    write_file(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_what_is_no_regular_file_is_written_to_itself(tmp_path: Path) -> None:
    write_file(Path("/dev/null"), "x")
    assert not Path("/dev/null").is_file()


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path: Path) -> None:
    assert write_file(tmp_path / ("n" * 255), "x").read_text() == "x"


def test_a_block_that_fails_replaces_nothing(tmp_path: Path) -> None:
    path = write_file(tmp_path / "x", "old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as part:
        part.write_text("half" * 10_000 + "\ud800", encoding="utf-8")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_what_a_killed_writer_left_goes_with_the_next_and_a_living_ones_stays(
    tmp_path: Path,
) -> None:
    path = write_file(tmp_path / "x", "old")
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom oomph.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n    print('there', flush=True)\n    time.sleep(60)\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", hold, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
    children[0].kill()
    children[0].wait()
    assert len(os.listdir(tmp_path)) == 3
    write_file(path, "new")
    assert len(os.listdir(tmp_path)) == 2, "the living writer's"
    children[1].kill()
    children[1].wait()
    write_file(path, "newer")
    assert os.listdir(tmp_path) == ["x"]
    for child in children:
        assert child.stdout is not None
        child.stdout.close()


def test_killed_at_any_moment_the_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path = write_file(tmp_path / "x", "old\n" * 50_000)
    texts = {path.read_text(), "new\n" * 50_000}
    for moment in range(40):
        if (pid := os.fork()) == 0:
            try:
                while True:
                    for text in texts:
                        write_file(path, text)
            finally:
                os._exit(0)
        time.sleep(0.001 * moment)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert path.read_text() in texts
    write_file(path, "done")
    assert os.listdir(tmp_path) == ["x"]
