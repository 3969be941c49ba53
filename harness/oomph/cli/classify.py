"""`oomph classify`: what a log says about how a run ended."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from oomph.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add `classify` to the command line."""
    app.command("classify")(_classify)


def _classify(
    log: Annotated[str, typer.Argument(help="a file with the program's output, or - for standard input")],
    exit_code: Annotated[int | None, typer.Option(help="its exit code; negative or 128 + n for a signal")] = None,
    timed_out: Annotated[bool, typer.Option("--timed-out", help="it was ended for taking too long")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Say how a llama.cpp run ended: which out-of-memory, or what else, and the next step."""
    from oomph.measure.outcome import classify

    found = classify(exit_code, _read_lines(log), timed_out=timed_out)
    if as_json:
        plain = {"outcome": found.outcome, "stage": found.stage, "evidence": found.evidence, "advice": found.advice}
        typer.echo(json.dumps(plain, ensure_ascii=False))
        return
    typer.echo(found.outcome if found.stage is None else f"{found.outcome} (stage: {found.stage})")
    for line in found.evidence:
        typer.echo(f"  | {line}")
    typer.echo(found.advice)


def _read_lines(log: str) -> list[str]:
    if log == "-":
        return sys.stdin.read().splitlines()
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"{log} cannot be read ({error.strerror}); name a file with the program's output") from None
