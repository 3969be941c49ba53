"""A sweep made ready for its place: all that must be right before a worker starts.

The sweep knows neither model nor machine; here it gets both, and what does not go together is one
sentence.
"""

import hashlib
import os
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.from_gguf import spec_from_gguf
from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.gguf.header import GGUFFile, read_gguf
from oomph.measure.executors import Executor, Job
from oomph.measure.grid import Drawn, Grid, Points, Sketch, settings
from oomph.measure.limits import Expect
from oomph.measure.model_files import ModelFiles
from oomph.measure.point import Point
from oomph.measure.recording import Setting
from oomph.measure.sweep import Sweep
from oomph.measure.texts import Texts, check_size, read_texts, reference_path, references_folder
from oomph.measure.workload import SERVER
from oomph.models.demo import demo_model
from oomph.models.download import download_model
from oomph.paths import expanded, is_remote
from oomph.records.environment import physical_cores
from oomph.records.heading import Tried
from oomph.records.schema import Environment, ModelIdentity

DEMO: Final = "demo"
"""The `model` of a sweep that means the demo model, made on first use."""
HASHED_BYTES: Final = 2 * 1024**3
"""Up to this size a model file is hashed whole; beyond it its header, its size and its name
identify it."""


@frozen
class Place:
    """Where a sweep is measured: an executor, the machine that it runs on, and how many jobs it
    takes at once.

    `n_devices` is the number of cards of a point that names none, None for all that the environment
    shows; with `divides` a point may take fewer than all. At a place that is `anywhere`, a cluster,
    the environment is a stand-in: every record brings its own, and one from any machine counts.
    """

    executor: Executor
    environment: Environment
    at_once: int = 1
    n_devices: int | None = None
    divides: bool = False
    anywhere: bool = False

    def holds(self, record: Tried) -> bool:
        """Whether the record was measured at this place, on as many of its cards as the point
        takes."""
        here, there = self.environment, record.environment
        if self.anywhere:
            return there.backend == here.backend
        cards = [_card(card) for card in here.gpus]
        if self.divides:
            cards = cards[: record.config["n_devices"]]
        same_cards = [_card(card) for card in there.gpus] == cards
        return (there.machine, there.backend) == (here.machine, here.backend) and same_cards


def _card(card: Mapping[str, object]) -> tuple[object, ...]:
    """What makes it another card: with a ballast it is a smaller one."""
    left = (card["leave_bytes"],) if "leave_bytes" in card else ()
    return card.get("name"), card.get("total_bytes"), *left


@frozen
class Subject:
    """The model that is measured: its file, what its header says, what identifies it in records,
    and `files`, to tell whether it is still the same."""

    path: Path
    spec: ModelSpec
    identity: ModelIdentity
    files: ModelFiles


@frozen
class Plan:
    """The points of a sweep by their ids, for one model at one place; `base` is where paths in the
    sweep begin, `expect` says how long a point of a job is expected to take."""

    place: Place
    points: Points
    subject: Subject
    texts: Texts
    references: Path | None
    setting: Setting
    base: Path = Path()
    expect: Expect | None = None

    def unkept(self, finished: Container[str]) -> set[str]:
        """The finished references whose log-probabilities are no longer there, though other points
        wait for them."""
        if self.references is None:
            return set()
        waiting = [point for point_id, point in self.points.compared() if point_id not in finished]
        awaited = {reference_path(point, self.texts, self.references) for point in waiting}
        missing = {path for path in awaited if path and not path.exists()}
        return {
            point_id
            for point_id, point in self.points.compared()
            if point.is_reference and reference_path(point, self.texts, self.references) in missing
        }

    def id_of(self, point: Point) -> str:
        """The point's id, for this model."""
        return point.point_id(self.subject.identity.header_sha256)

    def check_model(self, *, before_load: bool = False) -> None:
        """ModelFileError where the model's file is no longer the one that was identified;
        `before_load` reads its header, too. Another machine checks its own file."""
        if self.place.anywhere:
            return
        if before_load:
            self.subject.files.check_all()
        else:
            self.subject.files.check()

    def job(self, points: tuple[Point, ...]) -> Job:
        """The job that measures these points, which share a load."""
        if expect := self.expect:
            points = tuple(replace(p, expected=expect(p.config, p.workload)) for p in points)
        return Job(
            model_path=self.subject.path,
            arch=self.subject.spec.arch,
            points=points,
            n_threads=physical_cores(),
            texts=self.texts,
            references=self.references,
            draft_path=draft_path(points[0], self.base),
            header_sha256=self.subject.identity.header_sha256,
        )


def open_subject(
    sweep: Sweep, *, model: Path | str | None = None, known_as: str | None = None
) -> Subject:
    """The sweep's model, or `model` instead; `known_as` names it in the records.

    ModelFileError where it cannot be read, ConfigError where it cannot be found.
    """
    reference = str(model or sweep.file.model)
    path = _model_path(sweep, reference, is_given=model is not None)
    file = read_gguf(path)
    spec, files = spec_from_gguf(file, source=str(path)), ModelFiles.of(path, file)
    return Subject(
        path=path,
        spec=spec,
        identity=_identity(file, spec, path, known_as or reference),
        files=files,
    )


def plan_sweep(
    sweep: Sweep, subject: Subject, place: Place, *, expect: Expect | None = None
) -> Plan:
    """The sweep at this place; ConfigError where it asks for what the model or the place does not
    have.

    `expect` says how long a point is expected to take: what its timeouts are scaled by.
    """
    n_cards = len(place.environment.gpus)
    header = subject.identity.header_sha256
    n_devices = n_cards if place.n_devices is None else place.n_devices
    drawn = _measurable(
        sweep.drawn(n_devices=n_devices, header_sha256=header),
        place.environment,
        subject.spec,
        header,
    )
    points = tuple(settings(drawn.values(), "n_expert_used", "n_devices"))
    _check_experts(points, subject, sweep)
    _check_words(points, subject, sweep)
    if place.anywhere and any(point.workload.through == SERVER for point in points):
        raise ConfigError("llama-server is measured on this machine; leave --executor out")
    if not place.anywhere:
        _check_cards(points, sweep, n_cards=n_cards, divides=place.divides)
    identity = subject.identity
    return Plan(
        place=place,
        points=Points(drawn),
        subject=subject,
        texts=read_texts(points, sweep),
        references=_references(points, subject, sweep, place),
        setting=Setting(
            sweep=sweep.name,
            model=identity,
            environment=place.environment,
            model_path=str(subject.path),
        ),
        base=sweep.base,
        expect=expect,
    )


def _measurable(
    drawn: Mapping[str, Drawn], environment: Environment, spec: ModelSpec, header_sha256: str
) -> dict[str, Drawn]:
    """What was drawn, each as it can be measured there, which may change its id; a grid's points
    are alike in that."""
    grids: dict[Grid, Grid] = {}

    def as_there(each: Drawn) -> Drawn:
        if isinstance(each, Point):
            return as_measurable(each, environment, spec)
        if each.grid not in grids:
            first = as_measurable(each.grid.first, environment, spec)
            same = first is each.grid.first
            grids[each.grid] = each.grid if same else each.grid.with_first(first)
        there = grids[each.grid]
        return each if there is each.grid else Sketch(there, each.values)

    found: dict[str, Drawn] = {}
    for point_id, each in drawn.items():
        there = as_there(each)
        found[point_id if there is each else there.point_id(header_sha256)] = there
    return found


def draft_path(point: Point, base: Path) -> Path | None:
    """The file of the model that drafts for the point; None where none does."""
    named = point.workload.draft
    return None if named is None else (base / expanded(named)).resolve()


def as_measurable(point: Point, environment: Environment, spec: ModelSpec) -> Point:
    """The point as it can be measured there: on a phantom card without a clock, as its kernels do
    nothing and a speed or a text's score would be garbage; without decoding where no text is
    written."""
    if environment.backend == "phantom":
        return replace(point, workload=point.workload.memory_only())
    if point.config.embeddings or family_of(spec.arch).is_encoder:
        return replace(point, workload=point.workload.model_copy(update={"n_gen": 0}))
    return point


def _model_path(sweep: Sweep, reference: str, *, is_given: bool) -> Path:
    if reference == DEMO:
        return demo_model()
    if is_remote(reference):
        return download_model(reference)
    base = Path() if is_given else sweep.base
    return (base / expanded(reference)).resolve()


def identify(path: Path) -> ModelIdentity:
    """The identity of a model's file, as a sweep over it would record; ModelFileError where it
    cannot be read."""
    file = read_gguf(path)
    return _identity(file, spec_from_gguf(file, source=str(path)), path, str(path))


def _identity(file: GGUFFile, spec: ModelSpec, path: Path, reference: str) -> ModelIdentity:
    with path.open("rb") as stream:
        header = hashlib.sha256(stream.read(file.data_offset)).hexdigest()
        stream.seek(0)
        whole = (
            hashlib.file_digest(stream, "sha256").hexdigest()
            if file.file_bytes <= HASHED_BYTES
            else None
        )
    return ModelIdentity(
        name=spec.name,
        path=os.fsencode(reference).decode(errors="backslashreplace"),  # a record is UTF-8
        arch=spec.arch,
        file_bytes=file.file_bytes,
        header_sha256=header,
        sha256=whole,
    )


def _check_experts(points: tuple[Point, ...], subject: Subject, sweep: Sweep) -> None:
    """A dense model ignores the override in silence: say so before hours are spent."""
    if not subject.spec.is_moe and any(point.config.n_expert_used is not None for point in points):
        raise ConfigError(
            f"{sweep.path or 'sweep'}: n_expert_used is set, but {subject.identity.path} is a "
            "dense model without experts; leave that axis out, or name a mixture-of-experts model"
        )


def _check_words(points: tuple[Point, ...], subject: Subject, sweep: Sweep) -> None:
    """What gives embeddings has no logits to score a text by or to answer with."""
    for point in points:
        asked = [
            name
            for name in ("text", "needle", "tasks")
            if getattr(point.workload, name) is not None
        ]
        if asked and (point.config.embeddings or family_of(subject.spec.arch).is_encoder):
            raise ConfigError(
                f"{sweep.path or 'sweep'}: measure.{asked[0]} needs a model that writes, and "
                f"{subject.identity.path} gives embeddings here; leave measure.{asked[0]} out"
            )


def _check_cards(points: tuple[Point, ...], sweep: Sweep, *, n_cards: int, divides: bool) -> None:
    """llama.cpp takes every card that it sees, so a record that says another number would be
    wrong."""
    possible = range(1, n_cards + 1) if divides else (n_cards,)
    for point in points:
        if point.config.n_devices not in possible:
            raise ConfigError(
                f"{sweep.path or 'sweep'}: n_devices is {point.config.n_devices} and this machine "
                f"shows {n_cards} cards; leave it out to use them all, or choose them with "
                "CUDA_VISIBLE_DEVICES or --phantom"
            )


def _references(
    points: tuple[Point, ...], subject: Subject, sweep: Sweep, place: Place
) -> Path | None:
    """The folder of references for this model, build and place; None where nothing is compared."""
    if all(point.reference_point is None for point in points):
        return None
    check_size(points, subject.spec, sweep)
    here = place.environment
    cards = [_card(card) for card in here.gpus]
    return references_folder(
        subject.identity.header_sha256, here.llama_cpp_commit, here.machine, here.backend, cards
    )
