"""`oomph sweep`: measure what a sweep file asks for, point by point, and say how far it is."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oomph.calibrate.sweep_runner import Cluster, Where, open_runner
from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import DraftOption
from oomph.cli.output import progress, say
from oomph.cli.phantom import PhantomOption

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from oomph.measure.runner import Runner
    from oomph.measure.sweep import Sweep
    from oomph.programs.said import Said
    from oomph.records.schema import Record
    from oomph.records.store import Store


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    own = ("program", "n_depth")
    app.command("sweep")(takes_knobs(sweep, without=own, lists=True))


def sweep(
    what: Annotated[
        str,
        typer.Argument(metavar="SWEEP.toml|MODEL", help="A sweep file, or a model to measure."),
    ],
    out: Annotated[
        Path, typer.Option(help="Results folder; started again, a sweep goes on where it stopped.")
    ],
    model: Annotated[
        str | None, typer.Option(help="GGUF file, or hf:owner/repo/file.gguf, for the sweep's.")
    ] = None,
    depths: Annotated[
        str | None,
        typer.Option(help="Of MODEL: fills to measure at, by comma; 0,full if left out."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Of MODEL: a text to score, or pydoc for Python's reference.")
    ] = None,
    draft: DraftOption = None,
    phantom: PhantomOption = None,
    prune: Annotated[
        bool, typer.Option(help="Skip points that another has shown not to fit.")
    ] = True,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Workers at once, at most; by default one per card, and one on a CPU."
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
    *,
    said: "Said",
) -> None:
    """Measure memory, speed and quality over the points of a sweep, on every card of the machine.

    A model in place of a sweep file is measured over the knobs that are given, several values by
    comma or as a range: `oomph sweep model.gguf --n-ctx 4k,32k --n-expert-used 8-10 --out DIR`.
    Knobs left out are llama-cpp-python's; the sweep file is printed, and kept in the folder. With
    a draft (-md FILE) it runs through llama-server, which alone drafts.

    A point that names no n_devices runs on one card, unless no point of the sweep is expected to
    fit one: then on all of them. Cards of one kind share the points; every kind measures all of
    them. On a cluster each load of the model is a job; the model lies there at the same path, in
    $OOMPH_MODEL_DIR, or where --model-path-on says.
    """
    from oomph.measure.written_sweep import asked_sweep

    draft = draft or said.files.get("draft")
    told = {"depths": depths, "text": text, "draft": draft, "phantom": phantom}
    loaded = asked_sweep(what, said.knobs, out=out, **told)
    nodes = Cluster(
        ray_address=ray_address,
        gpu=gpu,
        partition=partition,
        gres=gres,
        model_path_on=model_path_on,
    )
    how = {"model": model, "phantom": phantom, "workers": workers, "prune": prune}
    run_sweep(loaded, out, executor, nodes, **how)


def run_sweep(
    loaded: "Sweep",
    out: Path,
    executor: Where = Where.LOCAL,
    cluster: Cluster | None = None,
    **how: Any,
) -> None:
    """Measure a sweep into a folder, `how` as `open_runner` takes it, and say how far it is."""
    from oomph.records.store import Store
    from oomph.views.run_lines import opening_lines

    store = Store(out)
    with open_runner(loaded, store, executor, cluster or Cluster(), **how) as (runner, chosen):
        say(*opening_lines(runner, loaded, out, chosen.in_words))
        _measure(runner, loaded, store, names_cards=chosen.names_cards)


def _measure(runner: "Runner", loaded: "Sweep", store: "Store", *, names_cards: bool) -> None:
    """Follow the sweep to its end, to its time's end or to Ctrl-C: exit code 130."""
    n_pending = runner.n_pending(loaded)
    try:
        n_measured = follow(runner.run(loaded), store, n_pending, names_cards=names_cards)
    except KeyboardInterrupt:
        say(
            f"Stopped; every finished point is in {store.path}. The same command goes on "
            "from there.",
            err=True,
        )
        raise typer.Exit(130) from None
    if n_measured < n_pending:
        say(
            f"The sweep's time is up with {n_pending - n_measured} points left; the same command "
            "goes on."
        )


def follow(
    records: "Generator[Record, None, None]",
    store: "Store",
    n_pending: int,
    *,
    names_cards: bool = False,
) -> int:
    """Print each record as it comes, under a progress bar on a terminal, and where the time went;
    their number.

    `names_cards` says on which of the machine's cards each was measured. However it ends, so do the
    workers: an interrupt can come while a line is printed.
    """
    from oomph.views.timings import time_spent

    count, spent = 0, time_spent([])
    with closing(records), progress("points", n_pending) as bar:
        for count, record, lines in _lines(records, store, n_pending, names_cards=names_cards):
            for line in lines:
                bar.say(line)
            bar.reach(count)
            spent += time_spent([record])
    if spent.wall_ns:
        say(f"The points took {spent}")
    return count


def _lines(
    records: "Iterator[Record]", store: "Store", n_pending: int, *, names_cards: bool
) -> "Iterator[tuple[int, Record, list[str]]]":
    """The number of points so far, the record, and its lines; what the cards do not report is in
    them once."""
    from oomph.measure.drift_check import is_repeat
    from oomph.views.readings import unread_reasons
    from oomph.views.run_lines import record_line

    count, noted = 0, set[str]()
    for record in records:
        count += not is_repeat(record)
        healed = [store.healed] if count == 1 and store.healed else []
        line = f"[{count}/{n_pending}] {record_line(record, names_cards=names_cards)}"
        reasons = [reason for reason in unread_reasons(record) if reason not in noted]
        noted.update(reasons)
        yield count, record, [*healed, line, *(f"NOTE {reason}" for reason in reasons)]
