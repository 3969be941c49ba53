"""`oomph sweep`: measure what a sweep file asks for, point by point, and say how far it is."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.phantom import PhantomOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oomph.records.schema import Record
    from oomph.records.store import Store


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("sweep")(sweep)


def sweep(
    spec: Annotated[Path, typer.Argument(help="The sweep file (TOML).")],
    out: Annotated[Path, typer.Option(help="Results folder; started again, a sweep goes on where it stopped.")],
    model: Annotated[str | None, typer.Option(help="GGUF file, or hf:owner/repo/file.gguf, for the sweep's.")] = None,
    phantom: PhantomOption = None,
    prune: Annotated[bool, typer.Option(help="Skip points that another has shown not to fit.")] = True,
) -> None:
    """Measure memory, speed and quality over the points of a sweep."""
    from oomph.measure.bench import open_bench
    from oomph.measure.runner import Runner
    from oomph.measure.sweep import Sweep
    from oomph.records.store import Store

    loaded, store = Sweep.load(spec), Store(out)
    with open_bench(phantom) as bench:
        runner = Runner(store, bench.executor, model=model, prune=prune, environment=bench.environment)
        n_pending = len(runner.pending(loaded))
        typer.echo(f"{loaded.name}: {n_pending} of {len(loaded.points())} points to measure into {out}")
        try:
            n_measured = follow(runner.run(loaded), store, n_pending)
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped; every finished point is in {store.path}. The same command goes on from there.", err=True
            )
            raise typer.Exit(130) from None
    if n_measured < n_pending:
        typer.echo(f"The sweep's time is up with {n_pending - n_measured} points left; the same command goes on.")


def follow(records: "Iterator[Record]", store: "Store", n_pending: int) -> int:
    """Print each record as it comes: under a progress bar on a terminal, as plain lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from oomph.measure.anchor import is_repeat

    console, count = Console(file=sys.stdout, highlight=False), 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("points", total=n_pending)
        for record in records:
            count += not is_repeat(record)
            if count == 1 and store.healed:
                console.print(store.healed, markup=False, soft_wrap=True)
            console.print(f"[{count}/{n_pending}] {_line(record)}", markup=False, soft_wrap=True)
            progress.update(task, completed=count)
    return count


def _line(record: "Record") -> str:
    """One record in a line: what it was, how it ended, what it took."""
    from statistics import median

    from oomph.units import duration, mib, rate

    parts = [f"{record.label}: {record.outcome.label}"]
    peaks = {f"{series.quantity} {series.device}": series.peak_bytes for series in record.memory}
    parts += [f"{name} {mib(peak)}" for name, peak in peaks.items() if name == "rss host" or name.startswith("vram")]
    best: dict[str, float] = {}
    for timing in record.timings:
        if not timing.test.startswith("cold"):
            speed = timing.n_tokens * timing.n_parallel * 1e9 / median(timing.samples_ns)
            best[timing.test] = max(speed, best.get(timing.test, 0.0))
    parts += [f"{test} {rate(speed)} t/s" for test, speed in best.items()]
    if record.outcome.label != "ok":
        parts.append(record.outcome.message)
    return ", ".join(part for part in [*parts, duration(record.wall_ns) if record.wall_ns else ""] if part)
