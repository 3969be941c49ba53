"""A sweep file: which configurations to measure, how, and under which limits.

Foreign text enters here, so the file's tables are pydantic's with unknown keys forbidden; out come
`Point`s, ordered so that all points that share a load (the same weights in the same places) stand
together. A sweep knows nothing of models or machines: the same file runs on a laptop and on a
workstation.
"""

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from math import prod
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from oomph.config import KNOBS, RunConfig, defaults_of, knob_value
from oomph.errors import ConfigError
from oomph.foreign import read_text
from oomph.frozen import frozen
from oomph.measure.fields import MAX_VALUES, Range, Seconds, StrictTable, expand
from oomph.measure.grid import Drawn, Grid
from oomph.measure.limits import Limits
from oomph.measure.point import Point
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
class Sweep:
    """A sweep as loaded: `path` is None where it did not come from a file."""

    file: SweepFile
    path: Path | None = None
    _checked: dict[int, tuple[Grid | list[Point], ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

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
        """The sweep that `text` (TOML) spells; every value of it is checked, so that no error waits
        for later."""
        where = str(path or "sweep")
        try:
            sweep = cls(file=SweepFile.model_validate(tomllib.loads(text)), path=path)
        except (RecursionError, ValueError) as error:
            if isinstance(error, ValidationError):
                raise ConfigError(f"{where}: {_sentence(error, SweepFile)}") from None
            raise ConfigError(f"{where}: not valid TOML: {error}; mend that line") from None
        built = [
            point
            for group in sweep._groups(n_devices=1)
            if not isinstance(group, Grid)
            for point in group
        ]
        _check_references(built, where)
        _check_tasks(built, where)
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
        return tuple(each.build() for each in self.drawn(n_devices=n_devices).values())

    def drawn(self, *, n_devices: int = 1, header_sha256: str = "") -> dict[str, Drawn]:
        """The same points in the same order by their ids, for a model with this header; those of a
        grid are not built."""
        unique: dict[str, Drawn] = {}
        for group in self._groups(n_devices):
            for each in group.sketches() if isinstance(group, Grid) else group:
                unique.setdefault(each.point_id(header_sha256), each)
        if self.file.in_order:
            names = dict.fromkeys(group.name for group in self.file.group)
            order = {name: number for number, name in enumerate(names)}
            in_order = sorted(
                unique.items(),
                key=lambda item: (order.get(item[1].group, 0), not item[1].comes_first),
            )
            return dict(in_order)
        loads: dict[tuple[object, ...], list[tuple[str, Drawn]]] = {}
        for item in sorted(unique.items(), key=lambda item: not item[1].comes_first):
            loads.setdefault(item[1].load_key, []).append(item)
        return {
            point_id: each
            for load in loads.values()
            for point_id, each in sorted(load, key=lambda item: item[1].context_order)
        }

    def settings(self, *knobs: str, n_devices: int = 1) -> Iterator[Point]:
        """Points that have every combination of values that the sweep has of these knobs, and
        every workload, without building all."""
        for group in self._groups(n_devices):
            yield from group.settings(*knobs) if isinstance(group, Grid) else group

    def cards_named(self) -> frozenset[int | None]:
        """The values of `n_devices` that its groups name; None stands for a group that names
        none."""
        where, named = str(self.path or "sweep"), set[int | None]()
        for group in self.file.group or [Group(name=self.name)]:
            fixed, axes = self.file.config | group.config, self.file.axes | group.axes
            named |= set(_axis("n_devices", axes.get("n_devices", [fixed.get("n_devices")]), where))
        return frozenset(named)

    def _groups(self, n_devices: int) -> tuple[Grid | list[Point], ...]:
        """Each group as a grid, or its points where they must be built; ConfigError for what cannot
        be."""
        if n_devices not in self._checked:
            self._checked[n_devices] = tuple(self._check_groups(n_devices))
        return self._checked[n_devices]

    def _check_groups(self, n_devices: int) -> Iterator[Grid | list[Point]]:
        file = str(self.path or "sweep")
        for group in self.file.group or [Group(name=self.name)]:
            where = f"{file}: group {group.name!r}" if self.file.group else file
            builder = _Builder.of(self.file, group, n_devices, where)
            yield builder.grid() or list(builder.points())


@frozen
class _Builder:
    """One group, its tables checked: `fixed` knobs, and `axes` with the values as the file has
    them."""

    group: Group
    where: str
    workload: Workload
    limits: Limits
    fixed: Mapping[str, Any]
    axes: Mapping[str, tuple[Any, ...]]
    load_mode: str
    fresh_process: bool

    @classmethod
    def of(cls, file: SweepFile, group: Group, n_devices: int, where: str) -> Self:
        """ConfigError for a table that cannot be."""
        workload = checked_table(Workload, file.measure, group.measure, where=f"{where}: measure")
        limits = checked_table(Limits, file.limits, group.limits, where=f"{where}: limits")
        _check_knobs(workload, where)
        served = defaults_of(SERVER) | {"n_seq_max": 1} if workload.through == SERVER else {}
        axes = {key: _axis(key, value, where) for key, value in (file.axes | group.axes).items()}
        if (n_points := prod(len(values) for values in axes.values())) > MAX_VALUES:
            raise ConfigError(f"{where}: {n_points:,} points; a group can have {MAX_VALUES:,}")
        fresh = file.fresh_process if group.fresh_process is None else group.fresh_process
        return cls(
            group=group,
            where=where,
            workload=workload,
            limits=limits,
            fixed={"n_devices": n_devices, **served, **file.config, **group.config},
            axes=axes,
            load_mode=file.load_mode,
            fresh_process=fresh,
        )

    def grid(self) -> Grid | None:
        """The group as a grid; None where its points must be built: they hang on each other, or one
        of them cannot be, and building them says which."""
        named = [key for key in self.axes if len(self.axes[key]) > 1 or key in self.group.axes]
        try:
            first = self._point([values[0] for values in self.axes.values()])
            return Grid.of(first, self.axes, named)
        except ConfigError:
            return None

    def points(self) -> Iterator[Point]:
        """Every point, built; ConfigError names the first that cannot be."""
        return map(self._point, itertools.product(*self.axes.values()))

    def _point(self, values: Sequence[Any]) -> Point:
        varied = dict(zip(self.axes, values, strict=True))
        given = {**self.fixed, **varied}
        config = RunConfig.from_mapping(given, where=self.where)
        if self.workload.through == SERVER:
            config = config.with_(n_outputs_max=config.n_seq_max)
        point = Point(
            group=self.group.name,
            label=_label(self.group, varied, self.axes),
            workload=self.workload,
            limits=self.limits,
            config=config,
            load_mode=config.load_mode if "load_mode" in given else self.load_mode,
            fresh_process=self.fresh_process,
        )
        _check_program(point, self.where)
        return point


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
