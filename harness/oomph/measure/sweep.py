"""A sweep file: which configurations to measure, how, and under which limits.

Foreign text enters here, so the file's tables are pydantic's with unknown keys forbidden; out come
`Point`s, ordered so that all points that share a load (the same weights in the same places) stand
together. A sweep knows nothing of models or machines: the same file runs on a laptop and on a
workstation.
"""

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from math import prod
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from oomph.config import KNOBS, LOAD_KNOBS, RunConfig, defaults_of, knob_value
from oomph.errors import ConfigError
from oomph.foreign import read_text
from oomph.frozen import frozen
from oomph.measure.fields import MAX_VALUES, Range, Seconds, StrictTable, expand
from oomph.measure.limits import ExpectedSeconds, Limits, Timeouts
from oomph.measure.workload import SERVER, Workload
from oomph.speculation import SIMPLE

MAX_BYTES: Final = 4 << 20
"""No sweep file is longer."""


class Group(StrictTable):
    """One table `[[group]]`: axes of its own, and what it changes of the sweep's knobs, measurement
    and limits."""

    name: Annotated[str, Field(min_length=1)]
    axes: dict[str, Any] = Field(default={})
    config: dict[str, Any] = Field(default={})
    measure: dict[str, Any] = Field(default={})
    limits: dict[str, Any] = Field(default={})
    fresh_process: bool | None = None


class SweepFile(StrictTable):
    """The whole of a sweep file; its comment says which question it answers.

    With `in_order` the groups are measured one after another, each with its references first, and
    the model is loaded again where that takes it: for a night that may end before the sweep does.
    Otherwise all points that share a load stand together.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    question: str = ""
    model: str
    config: dict[str, Any] = Field(default={})
    axes: dict[str, Any] = Field(default={})
    measure: dict[str, Any] = Field(default={})
    limits: dict[str, Any] = Field(default={})
    load_mode: Literal["auto", "none", "mmap", "mlock", "mmap+mlock", "dio"] = "mmap"
    fresh_process: bool = False
    in_order: bool = False
    sweep_timeout_s: Seconds | None = None
    anchor_every_s: Seconds = 900.0
    group: list[Group] = Field(default=[])


@frozen
class Point:
    """One configuration to measure. `label` names it by the knobs that its sweep varies; `expected`
    is how long it is said to take, which is no part of what it is."""

    group: str
    label: str
    config: RunConfig
    workload: Workload
    limits: Limits
    load_mode: str
    fresh_process: bool
    expected: ExpectedSeconds = field(default_factory=ExpectedSeconds)

    @property
    def timeouts(self) -> Timeouts:
        """How long its load and itself may take, and why."""
        return Timeouts.of(self.limits, self.expected)

    def point_id(self, header_sha256: str) -> str:
        """Twelve hex digits that say "the same point of the same model": what a resumed sweep goes
        by."""
        what = {
            "model": header_sha256,
            "config": self.config.to_dict(),
            "workload": self.workload.identity(),
            "limits": self.limits.model_dump(include={"memory_bytes", "memory_kind"}),
            "load_mode": self.load_mode,
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def reference_point(self) -> Self | None:
        """The point whose likelihoods this one's text is compared with, None where the sweep names
        none."""
        text = self.workload.text
        knobs = text.reference if text else None
        return replace(self, config=self.config.with_(**knobs)) if knobs else None

    @property
    def is_reference(self) -> bool:
        """Whether others are compared with this point."""
        return (reference := self.reference_point) is not None and reference.config == self.config

    @property
    def is_task_reference(self) -> bool:
        """Whether the tasks of other points are compared with this one's."""
        tasks = self.workload.tasks
        knobs = tasks.reference if tasks else None
        return knobs is not None and self.config.with_(**knobs) == self.config

    @property
    def comes_first(self) -> bool:
        """Whether it is measured before what is compared with it."""
        return self.is_reference or self.is_task_reference

    @property
    def load_key(self) -> tuple[object, ...]:
        """What two points must share to be measured in one process."""
        knobs = (getattr(self.config, knob) for knob in LOAD_KNOBS)
        how = (self.load_mode, self.workload.through, self.workload.draft)
        return (*knobs, *how, self.limits.memory_bytes, self.limits.memory_kind)


@frozen
class Sweep:
    """A sweep as loaded: `path` is None where it did not come from a file."""

    file: SweepFile
    path: Path | None = None

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The sweep at `path`; ConfigError names the file, the key and the way out."""
        path = Path(path)
        text = read_text(
            path,
            error=ConfigError,
            remedy="check the path of the sweep file, which is TOML in UTF-8",
            limit=MAX_BYTES,
        )
        return cls.parse(text, path=path)

    @classmethod
    def parse(cls, text: str, *, path: Path | None = None) -> Self:
        """The sweep that `text` (TOML) spells; all its points are built once, so that no error
        waits for later."""
        where = str(path or "sweep")
        try:
            sweep = cls(file=SweepFile.model_validate(tomllib.loads(text)), path=path)
        except (RecursionError, ValueError) as error:
            if isinstance(error, ValidationError):
                raise ConfigError(f"{where}: {_sentence(error, SweepFile)}") from None
            raise ConfigError(f"{where}: not valid TOML: {error}; mend that line") from None
        points = sweep.points()
        _check_references(points, where)
        _check_tasks(points, where)
        return sweep

    @property
    def name(self) -> str:
        """The sweep's name, which names its results folder."""
        return self.file.name

    @property
    def base(self) -> Path:
        """The folder where relative paths in it begin."""
        return self.path.parent if self.path else Path()

    def points(self, *, n_devices: int = 1) -> tuple[Point, ...]:
        """Every point, loads together in the order of the file and their contexts ascending, or as
        the file has them (`in_order`); references first.

        `n_devices` is what the machine has, for sweeps that do not say. Points that two groups
        share stand once.
        """
        where = str(self.path or "sweep")
        groups = self.file.group or [Group(name=self.name)]
        points = [
            point for group in groups for point in self._group_points(group, n_devices, where)
        ]
        unique: dict[str, Point] = {}
        for point in points:
            unique.setdefault(point.point_id(""), point)
        if self.file.in_order:
            order = [group.name for group in groups]
            return tuple(
                sorted(
                    unique.values(),
                    key=lambda each: (order.index(each.group), not each.comes_first),
                )
            )
        loads: dict[tuple[object, ...], list[Point]] = {}
        for point in sorted(unique.values(), key=lambda point: not point.comes_first):
            loads.setdefault(point.load_key, []).append(point)
        return tuple(point for load in loads.values() for point in sorted(load, key=_context_order))

    def cards_named(self) -> frozenset[int | None]:
        """The values of `n_devices` that its groups name; None stands for a group that names
        none."""
        where, named = str(self.path or "sweep"), set[int | None]()
        for group in self.file.group or [Group(name=self.name)]:
            fixed, axes = self.file.config | group.config, self.file.axes | group.axes
            named |= set(_axis("n_devices", axes.get("n_devices", [fixed.get("n_devices")]), where))
        return frozenset(named)

    def _group_points(self, group: Group, n_devices: int, where: str) -> Iterable[Point]:
        where = f"{where}: group {group.name!r}" if self.file.group else where
        workload = checked_table(
            Workload, self.file.measure, group.measure, where=f"{where}: measure"
        )
        limits = checked_table(Limits, self.file.limits, group.limits, where=f"{where}: limits")
        _check_knobs(workload, where)
        served = {"n_seq_max": 1} if workload.through == SERVER else {}
        fixed = {
            "n_devices": n_devices,
            **(defaults_of(SERVER) | served if served else {}),
            **self.file.config,
            **group.config,
        }
        axes = {
            key: _axis(key, value, where) for key, value in (self.file.axes | group.axes).items()
        }
        if (n_points := prod(len(values) for values in axes.values())) > MAX_VALUES:
            raise ConfigError(f"{where}: {n_points:,} points; a group can have {MAX_VALUES:,}")
        fresh = self.file.fresh_process if group.fresh_process is None else group.fresh_process
        for values in itertools.product(*axes.values()):
            varied = dict(zip(axes, values, strict=True))
            given = fixed | varied
            config = RunConfig.from_mapping(given, where=where)
            if served:
                config = config.with_(n_outputs_max=config.n_seq_max)
            point = Point(
                group=group.name,
                label=_label(group, varied, axes),
                workload=workload,
                limits=limits,
                config=config,
                load_mode=config.load_mode
                if "load_mode" in fixed | varied
                else self.file.load_mode,
                fresh_process=fresh,
            )
            _check_program(point, where)
            yield point


def _check_program(point: Point, where: str) -> None:
    """ConfigError for what the program that the point runs through does not do."""
    kinds = point.config.spec_kinds
    if point.workload.through != SERVER:
        if kinds:
            raise ConfigError(
                f"{where}: spec_type is {point.config.spec_type}, and llama-server alone drafts; "
                f'add `through = "{SERVER}"` to measure'
            )
        return
    if point.config.embeddings or point.limits.memory_bytes is not None:
        what = "embeddings are" if point.config.embeddings else "limits.memory_bytes is"
        raise ConfigError(f"{where}: {what} the library's; leave measure.through out")
    if (point.workload.draft is None) == (SIMPLE in kinds):
        raise ConfigError(
            f"{where}: a draft model needs spec_type {SIMPLE} and the path in measure.draft; give "
            "both or neither"
        )


def _check_knobs(workload: Workload, where: str) -> None:
    """ConfigError for a reference that names what is no knob, or a value that it cannot have."""
    for name, asked in (("text", workload.text), ("tasks", workload.tasks)):
        if asked is not None and asked.reference is not None:
            RunConfig.from_mapping(asked.reference, where=f"{where}: measure.{name}.reference")


def _check_references(points: Iterable[Point], where: str) -> None:
    """A comparison needs the point to compare with."""
    points = tuple(points)
    there = {point.point_id("") for point in points}
    for point in points:
        if (reference := point.reference_point) is not None and reference.point_id("") not in there:
            raise ConfigError(
                f"{where}: measure.text.reference has no point to compare {point.label!r} with; "
                "add the values that it names to the axes"
            )


def _check_tasks(points: Iterable[Point], where: str) -> None:
    """Tasks need a context that holds one of their lengths, and a comparison a setting to compare
    with: of any context, as the same items are asked in all that hold them."""
    asked = [point for point in points if point.workload.tasks]
    for point in asked:
        tasks = point.workload.tasks
        of_same = [each for each in asked if each.workload.tasks == tasks]
        longest = max(each.config.n_ctx_seq for each in of_same)
        if tasks and not tasks.lengths_within(longest):
            raise ConfigError(
                f"{where}: measure.tasks.lengths has no length that {longest:,} tokens of context "
                "hold; give a shorter one, or raise n_ctx"
            )
        if (
            tasks
            and tasks.reference is not None
            and not any(
                each.is_task_reference
                for each in asked
                if each.workload.tasks and each.workload.tasks.reference == tasks.reference
            )
        ):
            raise ConfigError(
                f"{where}: measure.tasks.reference has no point to compare {point.label!r} with; "
                "add the values that it names to the axes"
            )


def _axis(key: str, value: Any, where: str) -> tuple[Any, ...]:
    try:
        values = expand(value)
    except ValidationError as error:
        raise ConfigError(f"{where}: axes.{key} {_sentence(error, Range)}") from None
    try:
        values = tuple(
            knob_value(key, value) if isinstance(value, str) and key in KNOBS else value
            for value in values
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if not values:
        raise ConfigError(
            f"{where}: axes.{key} has no values; give at least one, or leave the axis out"
        )
    return values


def _label(group: Group, varied: Mapping[str, Any], axes: Mapping[str, tuple[Any, ...]]) -> str:
    named = [
        f"{key}={value}" for key, value in varied.items() if len(axes[key]) > 1 or key in group.axes
    ]
    return " ".join(named) or group.name


def _context_order(point: Point) -> tuple[bool, int, int, int]:
    return (
        not point.comes_first,
        point.config.n_ctx,
        point.config.n_ubatch,
        point.config.n_seq_max,
    )


_T = TypeVar("_T", bound=StrictTable)


def checked_table(
    kind: type[_T], base: Mapping[str, Any], changes: Mapping[str, Any], *, where: str
) -> _T:
    """The table with these values, those of `changes` first; ConfigError, with `where` and the key,
    for what it cannot have."""
    try:
        return kind.model_validate({**base, **changes})
    except ValidationError as error:
        raise ConfigError(f"{where}: {_sentence(error, kind)}") from None


def _sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    """The first thing that is wrong, as one sentence with the key and what it takes."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return (
            f"unknown key {key!r}; the keys there are "
            f"{', '.join(_table_at(kind, first['loc']).model_fields)}"
        )
    if first["type"] == "missing":
        return f"key {key!r} is missing; add it"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key} is {first['input']!r}; {message[0].lower()}{message[1:]}" if key else message


def _table_at(kind: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The table that the last key of `loc` was looked for in."""
    for part in loc[:-1]:
        field = kind.model_fields.get(str(part))
        if field is not None:
            options = (field.annotation, *get_args(field.annotation))
            kind = next(
                (o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), kind
            )
    return kind
