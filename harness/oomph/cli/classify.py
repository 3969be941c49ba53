"""`oomph classify`: what a log says about how a run ended."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from oomph.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add `classify` to the command line."""
    app.command("classify")(_classify)


def _classify(
    log: Annotated[
        str, typer.Argument(help="a file with the program's output, or - for standard input")
    ],
    exit_code: Annotated[
        int | None, typer.Option(help="its exit code; negative or 128 + n for a signal")
    ] = None,
    timed_out: Annotated[
        bool, typer.Option("--timed-out", help="it was ended for taking too long")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    model: Annotated[
        str | None, typer.Option(help="which model it was: adds what would have fitted")
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(help="on which card, for the same; else what the log says was free"),
    ] = None,
) -> None:
    """Say how a llama.cpp run ended: which out-of-memory, or what else, and the next step."""
    from oomph.measure.outcome import classify

    lines = _read_lines(log)
    found = classify(exit_code, lines, timed_out=timed_out)
    if model is not None and (step := _remedy(model, gpu, lines, found.outcome)):
        found = replace(found, advice=f"{found.advice}; {step}")
    if as_json:
        plain = {
            "outcome": found.outcome,
            "stage": found.stage,
            "evidence": found.evidence,
            "advice": found.advice,
        }
        typer.echo(json.dumps(plain, ensure_ascii=False))
        return
    typer.echo(found.outcome if found.stage is None else f"{found.outcome} (stage: {found.stage})")
    for line in found.evidence:
        typer.echo(f"  | {line}")
    typer.echo(found.advice)


def _remedy(model: str, card: str | None, lines: list[str], outcome: str) -> str | None:
    """What would have fitted, by the estimate, on the named card or in what the log says was
    free."""
    from oomph.advise.remedy import logged_config, remedy
    from oomph.architectures.source import read_model
    from oomph.estimate.estimator import Estimator
    from oomph.gpus import gpu
    from oomph.measure.advice import free_bytes

    free = free_bytes(lines)
    if card is None and free is None:
        raise ConfigError(
            "what would have fitted depends on the card: the log does not name its memory, add "
            "--gpu"
        )
    estimator = Estimator(read_model(model), gpu(card) if card else None, gpu_memory_bytes=free)
    return remedy(estimator, logged_config(lines), outcome)


def _read_lines(log: str) -> list[str]:
    if log == "-":
        return sys.stdin.read().splitlines()
    try:
        return Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(
            f"{log} cannot be read ({error.strerror}); name a file with the program's output"
        ) from None
