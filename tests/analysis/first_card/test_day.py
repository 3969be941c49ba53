"""A first day is judged again from its folder alone; the folder here is of a real card."""

import shutil
from pathlib import Path

import pytest

from oomph.analysis.first_card.day import is_day, read_day
from oomph.analysis.first_card.predictions import SEAL
from oomph.errors import ModelFileError, StoreError
from oomph.measure.first_card.journal import Journal, JournalEntry

REAL = "results/h200/first-card"
BUFFERS = ("weights_bytes", "kv_cache_bytes", "compute_bytes")


def test_the_published_day_of_a_real_card_is_read_without_one(repository: Path) -> None:
    day = read_day(repository / REAL)
    assert day.where == "NVIDIA H200"
    found = day.verdict
    assert found.is_sealed
    assert len(found.records) == 42
    assert all(record.outcome.label == "ok" for record in found.records)
    assert [stage.seen for stage in found.stages] == [stage.predicted for stage in found.stages]
    buffers = [each for each in found.errors if each.quantity in BUFFERS]
    assert len(buffers) == 3
    assert all(each.before and each.before.worst < 0.01 * 2**20 for each in buffers)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("journal.jsonl", b"[" * 100_000),
        ("journal.jsonl", b'{"step": "x", "state": "unheard of"}'),
        ("journal.jsonl", b'{"step": "facts", "state": "done", "facts": {"cuda": 3}}'),
        ("predictions.jsonl", b'{"step": 1}'),
        ("predictions.jsonl", b'{"step": "x", "quantity": "outcome", "predicted": []}'),
    ],
)
def test_a_line_that_is_none_of_its_file_is_passed_over(
    repository: Path, tmp_path: Path, file: str, line: bytes
) -> None:
    for each in ("records.jsonl", "journal.jsonl", "predictions.jsonl"):
        shutil.copyfile(repository / REAL / each, tmp_path / each)
    with (tmp_path / file).open("ab") as lines:
        lines.write(line + b"\n")
    found = read_day(tmp_path).verdict
    assert len(found.records) == 42
    assert (found.facts is None) == (b"facts" in line)
    assert found.is_sealed == (file == "journal.jsonl")


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x", "https://u:secret@host/x.gguf"])
def test_a_journal_makes_no_address_be_asked(
    repository: Path, tmp_path: Path, reference: str
) -> None:
    shutil.copyfile(repository / REAL / "records.jsonl", tmp_path / "records.jsonl")
    entry = JournalEntry(step=SEAL, state="done", facts={"size": "full", "model": reference})
    Journal(tmp_path).note(entry)
    with pytest.raises(ModelFileError, match=r"://(127|host).*is not asked"):
        read_day(tmp_path)


def test_a_sweep_is_no_day_and_an_empty_folder_says_so(repository: Path, tmp_path: Path) -> None:
    assert is_day(repository / REAL)
    assert not is_day(repository / "results/h200/quiet-ladder")
    with pytest.raises(StoreError, match="give it more --minutes"):
        read_day(tmp_path)
