"""The file of a conversation: what is found in it, and what survives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.chat.history import History, match_any, open_history
from oomph.errors import StoreError


def _told(path: Path | str, *exchanges: tuple[str, str]) -> History:
    history = History(path)
    for question, answer in exchanges:
        history.answer(history.ask(question), answer, n_tokens=10)
    return history


def test_what_shares_rare_words_comes_first_and_only_from_before() -> None:
    history = _told(
        ":memory:",
        ("The code of Marta is 4821.", "Noted."),
        ("The code of Tomas is 1111.", "Noted."),
        ("How is the weather?", "Fine."),
        ("What was the code of Marta?", "4821."),
    )
    assert [e.id for e in history.relevant("Tell me the code of Marta", before=4)][:2] == [1, 2]
    assert history.relevant("umbrella", before=9) == []


def test_russian_is_found_whatever_its_endings_and_case() -> None:
    history = _told(
        ":memory:", ("Секретный код Марты: 4821.", "Запомнил."), ("Какая погода?", "Ясно.")
    )
    assert [e.id for e in history.relevant("назови секретного кода МАРТЕ", before=9)] == [1]


@given(st.text(max_size=60))
def test_no_question_is_a_query_of_its_own(text: str) -> None:
    with History(":memory:") as history:
        history.answer(history.ask(text), text, n_tokens=1)
        found = history.relevant(text, before=9)
        assert len(found) <= 1
        history.relevant_notes(text)


def test_words_are_quoted_and_cut_to_their_beginnings() -> None:
    assert match_any('NEAR("codes", 42) OR code') == '"near" OR "code"* OR "42" OR "or" OR "code"'
    assert match_any("?!") == '""'


def test_the_memory_is_the_latest_and_its_lines_are_found_again() -> None:
    with History(":memory:") as history:
        assert history.memory == (0, "")
        history.remember("- Marta's code is 4821\n- rain on Monday", upto=3)
        history.remember("- rain on Monday\n- the boat is blue", upto=7)
        assert history.memory == (7, "- rain on Monday\n- the boat is blue")
        assert history.relevant_notes("what is Marta's code")[0] == "Marta's code is 4821"
        assert history.relevant_notes("will it rain") == ["rain on Monday"]


WRITER = """
import sys
from oomph.chat.history import History
history = History(sys.argv[1])
history.answer(history.ask("first"), "one", n_tokens=2)
history.ask("second")
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_was_finished_survives_a_kill_and_the_open_question_is_known(tmp_path: Path) -> None:
    path = tmp_path / "chat.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    with History(path) as history:
        assert [(e.question, e.answer) for e in history.finished()] == [("first", "one")]
        assert history.unanswered() == "second"
        history.answer(2, "two", n_tokens=2)
        assert history.unanswered() is None
        assert [e.answer for e in history.relevant("second", before=9)] == ["two"]


def test_a_file_that_is_no_history_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(StoreError, match=r"notes\.txt is no history of a conversation"):
        History(path)


def test_nobody_else_can_read_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    path.touch(0o644)
    with open_history(path, resume=False) as (kept, _):
        kept.ask("my secret")
        modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert modes == {"old.sqlite": 0o600, "old.sqlite-wal": 0o600, "old.sqlite-shm": 0o600}
    with open_history(tmp_path / "new" / "x.sqlite", resume=False) as (_, new):
        assert new.stat().st_mode & 0o777 == 0o600
        assert new.parent.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_one_sentence_and_what_was_said_stays(small_disk: Path) -> None:
    path = small_disk / "chat.sqlite"
    with open_history(path, resume=False) as (kept, _):
        kept.answer(kept.ask("hello"), "hi", n_tokens=2)
    with (
        pytest.raises(StoreError, match=r"cannot be read or written \(database or disk is full"),
        open_history(path, resume=True) as (kept, _),
    ):
        kept.ask("x" * 2_000_000)
    with open_history(path, resume=True) as (kept, _):
        assert [each.question for each in kept.finished()] == ["hello"]
