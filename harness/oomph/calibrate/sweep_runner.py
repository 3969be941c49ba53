"""Where a sweep is measured: the machine's cards, its CPU, phantom cards, or a cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from oomph.errors import ConfigError, UnknownNameError
from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.architectures.spec import ModelSpec
    from oomph.gpus import GpuSpec
    from oomph.measure.limits import Expect
    from oomph.measure.plan import Place
    from oomph.measure.runner import Runner
    from oomph.measure.sweep import Sweep
    from oomph.records.schema import Record
    from oomph.records.store import Store


class Where(StrEnum):
    """The values of --executor."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


@frozen
class Chosen:
    """Places to measure at, `at_once` jobs at most (None: as many as they take), and how long
    points may take."""

    places: "Sequence[Place]"
    at_once: int | None
    expect: "Expect"
    in_words: str = ""
    names_cards: bool = False


@frozen
class Cluster:
    """The options of clusters, as they were given."""

    ray_address: str | None = None
    gpu: str | None = None
    partition: str | None = None
    gres: str | None = None
    model_path_on: Sequence[str] | None = None

    def models(self) -> dict[str, str]:
        """--model-path-on as paths by host name."""
        split = [item.partition("=") for item in self.model_path_on or ()]
        if bad := [node for node, _, path in split if not (node and path)]:
            raise ConfigError(f"--model-path-on {bad[0]} names no path; it takes NODE=PATH")
        return {node: path for node, _, path in split}

    def refuse(self, where: Where, **taken: bool) -> None:
        """ConfigError for an option that this executor would ignore."""
        given = {each.name: value for each in fields(self) if (value := getattr(self, each.name))}
        for name in given:
            if not taken.get(name):
                raise ConfigError(
                    f"--{name.replace('_', '-')} says nothing to --executor {where.value}; leave "
                    "it out"
                )


@contextmanager
def open_runner(
    sweep: "Sweep",
    store: "Store",
    where: Where,
    cluster: Cluster,
    *,
    model: str | None = None,
    phantom: str | None = None,
    workers: int | None = None,
    prune: bool = True,
) -> "Iterator[tuple[Runner, Chosen]]":
    """What measures the sweep into the store, and where, for as long as the block.

    `model` stands in for the sweep's own; `prune` skips what another point has shown not to fit.
    """
    from oomph.measure.plan import open_subject
    from oomph.measure.runner import Runner

    subject = open_subject(sweep, model=model)
    check_drafts(sweep, subject.spec)
    with open_places(
        where,
        sweep,
        subject.spec,
        phantom=phantom,
        workers=workers,
        out=store.folder,
        cluster=cluster,
    ) as chosen:
        runner = Runner(
            store,
            chosen.places,
            model=subject,
            prune=prune,
            expect=chosen.expect,
            at_once=chosen.at_once,
        )
        yield runner, chosen


def check_drafts(sweep: "Sweep", spec: "ModelSpec") -> None:
    """ConfigError for what cannot draft, before anything starts: a model without a head, a draft
    of another vocabulary."""
    from oomph.architectures.from_gguf import read_model_file
    from oomph.estimate.draft import head_of
    from oomph.estimate.draft_pairs import draft_of
    from oomph.measure.plan import draft_path
    from oomph.speculation import MTP

    asked = {(p.config.spec_kinds, draft_path(p, sweep.base)) for p in sweep.settings()}
    for kinds, path in asked:
        if path is not None:
            draft_of(spec, read_model_file(path), kinds)
        elif MTP in kinds:
            head_of(spec)


@contextmanager
def open_rerun(
    record: "Record", store: "Store", *, model: str | None = None, phantom: str | None = None
) -> "Iterator[tuple[Runner, Sweep, Chosen]]":
    """What measures the record's point once more, as a sweep of its own, on its kind of card if
    that is here; `model` is its file where the record's path is not it."""
    from oomph.measure.plan import open_subject
    from oomph.measure.rerun import sweep_of
    from oomph.measure.runner import Runner

    sweep = sweep_of(record)
    subject = open_subject(sweep, model=model or record.model.path)
    with on_this_machine(sweep, subject.spec, phantom) as chosen:
        places = [place for place in chosen.places if place.holds(record)] or chosen.places
        runner = Runner(
            store, places[:1], model=subject, prune=False, again=True, expect=chosen.expect
        )
        yield runner, sweep, chosen


@contextmanager
def open_places(
    where: Where,
    sweep: "Sweep",
    spec: "ModelSpec",
    *,
    phantom: str | None,
    workers: int | None,
    out: Path,
    cluster: Cluster,
) -> Iterator[Chosen]:
    """What the command line chose, for as long as the block."""
    if where is Where.LOCAL:
        cluster.refuse(where)
        with on_this_machine(sweep, spec, phantom, workers) as chosen:
            yield chosen
        return
    if phantom:
        raise ConfigError(
            f"phantom cards are of this machine only; leave --executor {where.value} or --phantom "
            "out"
        )
    if where is Where.RAY:
        from oomph.measure.ray_executor import ray_place

        cluster.refuse(where, ray_address=True, gpu=True, model_path_on=True)
        address, models = cluster.ray_address or "auto", cluster.models()
        with ray_place(address, models=models, accelerator=cluster.gpu) as place:
            yield _on_cluster(place, spec, workers, _known_card(cluster.gpu))
    else:
        from oomph.gpus import gpu
        from oomph.measure.slurm_executor import AT_ONCE, slurm_place

        cluster.refuse(where, partition=True, gres=True, gpu=True, model_path_on=True)
        card, models = gpu(cluster.gpu) if cluster.gpu else None, cluster.models()
        place = slurm_place(
            out / ".slurm",
            partition=cluster.partition,
            gres=cluster.gres,
            models=models,
            at_once=workers or AT_ONCE,
        )
        yield _on_cluster(place, spec, workers, card)


def _known_card(name: str | None) -> "GpuSpec | None":
    """The catalogue's card by Ray's name for it, which may be one of Ray's own."""
    from oomph.gpus import gpu

    try:
        return gpu(name) if name else None
    except UnknownNameError:
        return None


@contextmanager
def on_this_machine(
    sweep: "Sweep", spec: "ModelSpec", phantom: str | None, workers: int | None = None
) -> Iterator[Chosen]:
    """Its cards, phantom cards, or its CPU."""
    from oomph.calibrate.expected_memory import expected_to_fit
    from oomph.calibrate.expected_time import expected_time
    from oomph.measure.bench import open_bench
    from oomph.measure.targets import spread

    with open_bench(phantom) as bench:
        found = spread(sweep, spec, bench, workers=workers, fits=expected_to_fit(spec, bench))
        several = len(bench.cards) > 1
        yield Chosen(
            places=found.places,
            at_once=found.at_once,
            expect=expected_time(spec, bench),
            names_cards=several,
            in_words=_cards_in_words(found.places, found.at_once)
            if several
            else bench.remark and f", {bench.remark}",
        )


def _on_cluster(
    place: "Place", spec: "ModelSpec", workers: int | None, card: "GpuSpec | None"
) -> Chosen:
    from oomph.calibrate.expected_time import ExpectedTime

    at_once = min(workers or place.at_once, place.at_once)
    return Chosen(
        places=(place,),
        at_once=at_once,
        expect=ExpectedTime(spec, card),
        in_words=f", up to {at_once} jobs at once",
    )


def _cards_in_words(places: "Sequence[Place]", at_once: int) -> str:
    """Which cards take part."""
    kinds = [
        f"{len(place.environment.gpus)} × {place.environment.gpus[0]['name']}" for place in places
    ]
    return (
        f", {at_once} at once on "
        f"{' and '.join(kinds)}{', each kind all of them' if len(kinds) > 1 else ''}"
    )
