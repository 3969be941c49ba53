"""The command line: parse, call one library function, print.

One module a group of commands; each defines functions that `app` registers when one of them is
called. What needs no command is answered without typer. Errors that a user can mend are caught
here, once.
"""

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from oomph import __version__
from oomph.cli.front import front_page
from oomph.cli.output import guard, say, say_json, say_text
from oomph.errors import OomphError, machine_sentence

COLLECT_AFTER: Final = 500_000
"""New objects before the first generation is collected, 700 in Python as it starts. What imports
and graphs make stays, and going through it took a tenth of an answer's time; little of it is
garbage that only a collection finds, so that no command's memory grows by this."""

MOST_SAID: Final = 4000
"""Characters of a sentence that says what went wrong; a name may be as long as a command line."""


def _exit(number: int, _: object) -> None:
    """An exit cleans up: workers end, no file is left behind."""
    sys.exit(128 + number)


def main() -> None:
    """The console script: exit code 2 and one sentence for what a user can mend, 130 for Ctrl-C."""
    try:
        _main()
    except KeyboardInterrupt:  # between a command's own lines, or a second one while the first ends
        sys.exit(128 + signal.SIGINT)


def _main() -> None:
    gc.set_threshold(COLLECT_AFTER)
    _end_cleanly()
    guard()
    try:
        code = _run(sys.argv[1:])
    except OomphError as error:
        _fail(str(error))
    except BrokenPipeError:  # who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ModuleNotFoundError, OSError) as error:
        _fail_for_missing(error)
    finally:
        _keep_replays()
    sys.exit(code if isinstance(code, int) else 0)


def _keep_replays() -> None:
    """Let the next process know what this one's replays have taught, if it had any."""
    if files := sys.modules.get("oomph.calibrate.replay_files"):
        files.REPLAYS.save()


def _run(words: Sequence[str]) -> Any:
    """What the words ask for; the exit code, or nothing."""
    if "_OOMPH_COMPLETE" not in os.environ and words in ([], ["--help"], ["--version"]):
        say(__version__) if words == ["--version"] else say_text(front_page(), end="")
        return 0 if words else 2
    import typer

    from oomph.cli.app import UsageError, app

    try:
        return app(prog_name="oomph", standalone_mode=False)
    except UsageError as error:
        _refuse(error)
    except typer.Abort:
        _fail("nothing was confirmed")


def _end_cleanly() -> None:
    """Let a signal end the program as an exit does."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets SIGHUP
            signal.signal(number, _exit)


def _fail_for_missing(error: ModuleNotFoundError | OSError) -> NoReturn:
    """An import that an extra would have brought, or something that the machine lacks; any other is
    a bug."""
    from oomph.extras import missing_extra

    sentence = machine_sentence(error) if isinstance(error, OSError) else missing_extra(error.name)
    if sentence is None:
        raise error
    _fail(sentence)


def _refuse(error: Any) -> NoReturn:
    """A command line that is not understood: typer's own way to say so takes foreign text as it
    is. A group without arguments shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        say_text(error.format_message())
        sys.exit(error.exit_code)
    if error.ctx is not None:
        say(f"{error.ctx.get_usage()}; --help says more", err=True)
    _fail(error.format_message())


def _fail(sentence: str) -> NoReturn:
    if len(sentence) > MOST_SAID:  # foreign text in its middle; the way out stands at the end
        sentence = f"{sentence[: MOST_SAID // 2]} … {sentence[-MOST_SAID // 2 :]}"
    if "--json" in sys.argv:  # who asks for JSON reads why there is no answer there too
        with contextlib.suppress(OSError):  # a full disk may be why
            say_json({"error": sentence})
    say(f"oomph: {sentence}", err=True)
    sys.exit(2)
