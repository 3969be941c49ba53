"""`oomph chat`: a conversation that outlives its context, on a terminal or from a pipe."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from oomph.cli.output import say, say_text
from oomph.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oomph.chat.backends import ChatBackend
    from oomph.chat.history import History
    from oomph.chat.loop import Conversation

HELP = "/memory shows what the model has noted, /quit ends; Ctrl-C stops an answer, Ctrl-D ends"

ENDED: Final = {
    "limit": "(ended at {n_answer} tokens, a quarter of n_ctx or 1,024; say “go on”)",
    "repetition": "(ended: it said the same again and again; the history keeps it once)",
}
"""What is said of an answer that did not end by itself."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("chat")(chat)


def chat(
    model: Annotated[str | None, typer.Argument(help="GGUF file, or `demo`.")] = None,
    url: Annotated[
        str | None, typer.Option(help="A running llama-server instead of a file.")
    ] = None,
    n_ctx: Annotated[
        int | None, typer.Option(help="Tokens of prompt and answer: 4096, or a slot's.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps the whole conversation.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the conversation in --history.")] = False,
    summarise: Annotated[
        bool, typer.Option(help="Let the model note what left the window.")
    ] = False,
    recall: Annotated[
        bool, typer.Option(help="Put back earlier exchanges that share its words.")
    ] = True,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.7,
) -> None:
    """Talk with a model in a conversation that outlives its context."""
    from oomph.chat.backends import open_backend
    from oomph.chat.history import open_history
    from oomph.chat.loop import Conversation, Memory

    with open_history(history, resume=resume) as (kept, path):
        backend = open_backend(model, url, n_ctx=n_ctx, temperature=temperature)
        _greet(kept, path, backend)
        memory = Memory(recall=recall, summarise=summarise)
        _talk(Conversation(backend, kept, memory=memory), kept)


def _greet(kept: "History", path: Path, backend: "ChatBackend") -> None:
    n_before = len(kept.finished())
    say(
        f"n_ctx {backend.n_ctx:,}; the conversation (exchanges so far: {n_before}) is kept in "
        f"{path}",
        err=True,
    )
    if (question := kept.unanswered()) is not None:
        say(f"your last question had no answer yet: {question}", err=True)
    if sys.stdin.isatty():
        say(HELP, err=True)


def _talk(conversation: "Conversation", kept: "History") -> None:
    for line in _lines():
        if line == "/quit":
            return
        if line == "/memory":
            say(
                kept.memory[1]
                or "nothing yet: the whole conversation is in the window, or --summarise is off"
            )
        elif line:
            _answer(conversation, line)


def _lines() -> "Iterator[str]":
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            yield input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            return


def _answer(conversation: "Conversation", question: str) -> None:
    pieces, why = conversation.say(question), "end"
    try:
        while True:
            say_text(next(pieces), end="")
    except StopIteration as ended:
        why = ended.value
    except KeyboardInterrupt:
        pieces.close()  # what was said is kept
    except ConfigError as error:  # a question too long, a server gone: the conversation goes on
        say(f"oomph: {error}", err=True)
    say()
    if why in ENDED:
        say(ENDED[why].format(n_answer=conversation.n_answer), err=True)
