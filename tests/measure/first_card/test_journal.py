"""The journal: the last word on each step, whatever ended its writer."""

from pathlib import Path

import pytest

from oomph.errors import StoreError
from oomph.measure.first_card.journal import Journal, JournalEntry, Lines


def test_the_last_entry_of_a_step_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new")
    journal.note(JournalEntry(step="a", state="left out", why="the time"))
    journal.note(JournalEntry(step="b", state="done", seconds=2.5, facts={"x": 1}))
    journal.note(JournalEntry(step="a", state="done"))
    entries = Journal(tmp_path / "new").entries()
    assert [(entry.step, entry.state) for entry in entries.values()] == [
        ("a", "done"),
        ("b", "done"),
    ]
    assert (entries["b"].seconds, entries["b"].facts) == (2.5, {"x": 1})


def test_a_torn_line_is_no_line_and_harms_no_other(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "lines.jsonl")
    lines.append({"n": 1})
    with lines.path.open("a") as file:
        file.write('{"n": 2, "tor')
    lines.append({"n": 3})
    assert list(lines.read()) == [{"n": 1}, {"n": 3}]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another --out"):
        Lines(tmp_path / "file" / "lines.jsonl").append({})
