"""`oomph sweep`: measure what a sweep file asks for, point by point, and say how far it is."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.executors import Cluster, Where, open_places
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
    out: Annotated[
        Path, typer.Option(help="Results folder; started again, a sweep goes on where it stopped.")
    ],
    model: Annotated[
        str | None, typer.Option(help="GGUF file, or hf:owner/repo/file.gguf, for the sweep's.")
    ] = None,
    phantom: PhantomOption = None,
    prune: Annotated[
        bool, typer.Option(help="Skip points that another has shown not to fit.")
    ] = True,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Workers at once, at most; by default one a card, and one on a CPU."
        ),
    ] = None,
    executor: Annotated[
        Where, typer.Option(help="This machine, or an existing Ray or Slurm cluster.")
    ] = Where.LOCAL,
    model_path_on: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE=PATH", help="Cluster: where the model lies on a node."),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="Cluster: the GPU to run on; for Ray by Ray's name.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Ray: the cluster's address, if it is not this node's.")
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Slurm: the partition.")] = None,
    gres: Annotated[
        str | None,
        typer.Option(help="Slurm: what a job asks for; by default gpu:N or a whole node."),
    ] = None,
) -> None:
    """Measure memory, speed and quality over the points of a sweep, on every card of the machine.

    A point that names no n_devices runs on one card, unless no point of the sweep is expected to
    fit one: then on all of them. Cards of one kind share the points; every kind measures all of
    them. On a cluster each load of the model is a job; the model lies there at the same path, in
    $OOMPH_MODEL_DIR, or where --model-path-on says.
    """
    from oomph.measure.accidents import TRIES
    from oomph.measure.plan import open_subject
    from oomph.measure.runner import Runner
    from oomph.measure.sweep import Sweep
    from oomph.records.store import Store

    loaded, store = Sweep.load(spec), Store(out)
    subject = open_subject(loaded, model=model)
    cluster = Cluster(
        ray_address=ray_address,
        gpu=gpu,
        partition=partition,
        gres=gres,
        model_path_on=model_path_on or (),
    )
    with open_places(
        executor, loaded, subject.spec, phantom=phantom, workers=workers, out=out, cluster=cluster
    ) as chosen:
        runner = Runner(
            store,
            chosen.places,
            model=subject,
            prune=prune,
            expect=chosen.expect,
            at_once=chosen.at_once,
        )
        n_pending, n_points = len(runner.pending(loaded)), len(loaded.points()) * len(chosen.places)
        typer.echo(
            f"{loaded.name}: {n_pending} of {n_points} points to measure into "
            f"{out}{chosen.in_words}"
        )
        if again := runner.again(loaded):
            reasons = ", ".join(f"{n} {reason}" for reason, n in again.most_common())
            typer.echo(
                f"{again.total()} of them again, as their records tell of an accident and not of "
                "the configuration "
                f"({reasons}); a point is tried {TRIES} times at most"
            )
        try:
            n_measured = follow(
                runner.run(loaded), store, n_pending, names_cards=chosen.names_cards
            )
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped; every finished point is in {store.path}. The same command goes on "
                "from there.",
                err=True,
            )
            raise typer.Exit(130) from None
    if n_measured < n_pending:
        typer.echo(
            f"The sweep's time is up with {n_pending - n_measured} points left; the same command "
            "goes on."
        )


def follow(
    records: "Iterator[Record]", store: "Store", n_pending: int, *, names_cards: bool = False
) -> int:
    """Print each record as it comes, under a progress bar on a terminal, and where the time went;
    their number.

    What the cards do not tell is said once. `names_cards` says on which of the machine's cards each
    was measured.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from oomph.measure.drift_check import is_repeat
    from oomph.views.readings import unread_reasons
    from oomph.views.timings import time_in_words

    console, count, done, told = Console(file=sys.stdout, highlight=False), 0, [], set[str]()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("points", total=n_pending)
        for record in records:
            count += not is_repeat(record)
            if count == 1 and store.healed:
                console.print(store.healed, markup=False, soft_wrap=True)
            line = record_line(record, names_cards=names_cards)
            console.print(f"[{count}/{n_pending}] {line}", markup=False, soft_wrap=True)
            for reason in unread_reasons(record):
                if reason not in told:
                    console.print(f"NOTE {reason}", markup=False, soft_wrap=True)
                told.add(reason)
            progress.update(task, completed=count)
            done.append(record)
    if any(record.wall_ns for record in done):
        console.print(f"The points took {time_in_words(done)}", markup=False, soft_wrap=True)
    return count


def record_line(record: "Record", *, names_cards: bool = False) -> str:
    """One record in a line: what it was, how it ended, what it took, what puts it in doubt."""
    from statistics import median

    from oomph.records.disturbance import remarks
    from oomph.units import duration, mib, rate

    cards = " + ".join(f"card {card['index']} ({card['name']})" for card in record.environment.gpus)
    parts = [f"{record.label}{f' on {cards}' if names_cards else ''}: {record.outcome.label}"]
    peaks = {f"{series.quantity} {series.device}": series.peak_bytes for series in record.memory}
    parts += [
        f"{name} {mib(peak)}"
        for name, peak in peaks.items()
        if name == "rss host" or name.startswith("vram")
    ]
    best: dict[str, float] = {}
    for timing in record.timings:
        if not timing.test.startswith("cold"):
            speed = timing.n_tokens * timing.n_parallel * 1e9 / median(timing.samples_ns)
            best[timing.test] = max(speed, best.get(timing.test, 0.0))
    parts += [f"{test} {rate(speed)} t/s" for test, speed in best.items()]
    if record.outcome.label != "ok":
        parts.append(record.outcome.message)
    parts += [
        duration(record.wall_ns) if record.wall_ns else "",
        *(f"NOTE {remark}" for remark in remarks(record)),
    ]
    return ", ".join(filter(None, parts))
