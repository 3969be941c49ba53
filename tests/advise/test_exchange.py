"""Files, folders and standard input taken in: one that cannot be read never ends the others."""

import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from tests.records.test_tables import CUDA, HEAD, SWEEP, row

from oomph.advise.exchange import import_results, read_files
from oomph.errors import StoreError
from oomph.records import folders
from oomph.records.store import Store

LOG = (
    "llama_model_loader: loaded meta data with 28 pairs from /m/x.gguf (version GGUF V3)\n"
    "load_tensors:        CUDA0 model buffer size =   372.65 MiB\n"
    "llama_context: n_ctx         = 4096\n"
    "llama_kv_cache:      CUDA0 KV buffer size =   448.00 MiB\n"
)


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """A folder as people keep one: tables, a log, notes, a model, a hidden folder, a loop."""
    place = tmp_path / "found"
    (place / "deep" / "er").mkdir(parents=True)
    (place / ".hidden").mkdir()
    (place / "bench.md").write_text(CUDA + HEAD + row() + row("tg128", "90 ± 1")[:70] + "\n")
    (place / "deep" / "er" / "sweeps.txt").write_text(SWEEP + "\n" + SWEEP)
    (place / "deep" / "server.log").write_text(LOG)
    (place / "notes.txt").write_text("nothing to see")
    (place / "empty").write_bytes(b"")
    (place / "model.gguf").write_bytes(b"GGUF" + bytes(100))
    (place / ".hidden" / "bench.md").write_text(HEAD + row())
    (place / "deep" / "loop").symlink_to(place, target_is_directory=True)
    return place


def test_a_folder_is_all_files_below_it(found: Path, tmp_path: Path) -> None:
    done = import_results([found], tmp_path / "out")
    assert [file.path.relative_to(found).as_posix() for file in done.files] == [
        "bench.md",
        "empty",
        "notes.txt",
        "deep/server.log",
        "deep/er/sweeps.txt",
    ]
    assert (done.n_read, done.n_new) == (4, 3), "the second sweep has the first one's figures"
    assert len(list(Store(tmp_path / "out"))) == 3
    assert done.summary() == (
        "3 of 5 files gave 4 records (2 of sweep-bench, 1 of llama-bench, 1 of llama.cpp log); "
        f"{found}/empty: no table, no log; {found}/notes.txt: no table, no log"
    )
    (problem,) = done.files[0].problems
    assert problem.at(found / "bench.md").startswith(f"{found}/bench.md:6: a row that is cut: |")
    assert import_results([found], tmp_path / "out").n_new == 0


def test_a_file_that_is_not_there_does_not_end_the_others(found: Path, tmp_path: Path) -> None:
    done = import_results([found / "none.md", found / "bench.md"], tmp_path / "out")
    assert done.n_new == 1
    assert "cannot be read" in str(done.files[0].why_none)


def test_where_nothing_is_taken_each_file_says_why(found: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(StoreError, match=r"none of 2 files gave a record: .*notes\.txt: no table"):
        import_results([found / "notes.txt", found / "empty"], out)
    with pytest.raises(StoreError, match=r"notes\.txt: no table, no log"):
        import_results([found / "notes.txt"], out)
    (found / "cut.md").write_text(HEAD + row()[:70])
    with pytest.raises(StoreError, match=r"cut\.md: no whole row \(line 3: a row that is cut"):
        import_results([found / "cut.md"], out)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(StoreError, match="there is no file in it"):
        import_results([tmp_path / "nothing"], out)
    assert not out.exists()


def test_a_folder_without_end_is_refused(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_FILES", 3)
    with pytest.raises(StoreError, match="more than 3 files"):
        read_files([found])


def test_standard_input_is_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Piped:
        buffer = io.BytesIO((HEAD + row()).encode())

    monkeypatch.setattr(sys, "stdin", Piped())
    done = import_results(["-"], tmp_path / "out", gpu="RTX 4090")
    (record,) = Store(tmp_path / "out")
    assert (done.n_new, record.environment.gpus) == (1, [{"name": "RTX 4090"}])


def test_a_pipe_with_a_name_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(LOG,))
    writer.start()
    (file,) = read_files([pipe])
    writer.join()
    assert (file.path, [record.origin for record in file.records]) == (pipe, ["llama.cpp log"])


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
def test_a_table_between_a_logs_lines_leaves_its_buffers(tmp_path: Path, cut: bool) -> None:
    path = tmp_path / "bench.log"
    path.write_text(CUDA + LOG + HEAD + (row()[:70] if cut else row()))
    (file,) = read_files([path])
    origins = [record.origin for record in file.records]
    assert origins == (["llama.cpp log"] if cut else ["llama-bench", "llama.cpp log"])
    assert file.records[-1].buffers.kv_cache_mib == {"CUDA0": [448.0]}


def test_a_table_beside_lines_that_tell_no_buffers_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "bench.log"
    path.write_text(LOG.splitlines()[0] + "\n" + HEAD + row())
    (file,) = read_files([path])
    assert [record.origin for record in file.records] == ["llama-bench"]


@pytest.mark.parametrize(
    ("card", "backend"), [("RTX 4090", "cuda"), ("RX 7900 XTX", "unknown"), ("M2 Max", "unknown")]
)
def test_a_card_that_is_told_says_its_backend_only_where_it_has_one(
    card: str, backend: str, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.md"
    path.write_text(SWEEP)
    (file,) = read_files([path], gpu=card)
    (record,) = file.records
    assert (record.environment.backend, record.environment.gpus) == (backend, [{"name": card}])


def test_a_told_card_leaves_a_told_backend(tmp_path: Path) -> None:
    path = tmp_path / "bench.md"
    path.write_text(HEAD + row(backend="Vulkan"))
    (file,) = read_files([path], gpu="RTX 4090")
    (record,) = file.records
    assert record.environment.backend == "vulkan"


def test_records_of_another_folder_come_in_as_they_are(found: Path, tmp_path: Path) -> None:
    import_results([found / "bench.md"], tmp_path / "one")
    done = import_results([tmp_path / "one" / "records.jsonl"], tmp_path / "other")
    assert done.n_new == 1
    before, after = (
        json.loads((tmp_path / place / "records.jsonl").read_text()) for place in ("one", "other")
    )
    assert before == after
