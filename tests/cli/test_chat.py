"""`oomph chat` as it is typed: refusals in one sentence, and a conversation from a pipe, ended and
resumed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.chat.history import History

Oomph = Callable[..., tuple[int, str, str]]
COMMAND = (sys.executable, "-c", "from oomph.cli import main; main()", "chat")


def _chat(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=said,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_cannot_be_is_one_sentence(oomph: Oomph, tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with History(path) as history:
        history.answer(history.ask("hello"), "hi", n_tokens=2)
    for arguments, sentence in (
        ((), "name a model or give --url, one of the two"),
        (("demo", "--url", "http://127.0.0.1:1"), "one of the two"),
        (("--url", "http://127.0.0.1:1"), "no llama-server answers at http://127.0.0.1:1"),
        (("demo", "--resume"), "name its file with --history"),
        (("demo", "--resume", "--history", str(tmp_path / "none.sqlite")), "which must be there"),
        (
            ("demo", "--history", str(path)),
            "holds a conversation already; go on with it by --resume",
        ),
    ):
        own = (
            ()
            if "--history" in arguments or "--resume" in arguments
            else ("--history", str(tmp_path / "new.sqlite"))
        )
        code, _, said = oomph("chat", *arguments, *own)
        assert code == 2, said
        assert sentence in said
        assert "Traceback" not in said


@pytest.mark.llama
def test_a_conversation_from_a_pipe_is_kept_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "chat.sqlite"
    options = ("demo", "--n-ctx", "512", "--temperature", "0", "--history", str(path))
    first = _chat(
        *options,
        said="The secret code of Marta is 4821. Please remember it.\n\n/memory\n/quit\nnever "
        "asked\n",
    )
    assert first.returncode == 0, first.stderr
    assert "nothing yet" in first.stdout
    second = _chat(*options, "--resume", said="What is the secret code of Marta?\n")
    assert "(exchanges so far: 1)" in second.stderr
    assert "4821" in second.stdout
    with History(path) as history:
        assert [e.question[:8] for e in history.finished()] == ["The secr", "What is "]
