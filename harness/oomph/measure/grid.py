"""The points of a group before they are built: what each is named by and ordered by.

The points of a grid share most of what they are: a value of an axis is checked once, and a point's
id is put together from what the grid and its values are in JSON. A hundred thousand points that
were all measured are known as such without one of them being built.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Self

from oomph.config import HELD_TOGETHER, KNOBS, LOAD_KNOBS, RunConfig, is_said
from oomph.measure.point import Point

_ORDERED_BY: Final = ("n_ctx", "n_ubatch", "n_seq_max")
_BUILT: Final = frozenset({"spec_type", "embeddings", "load_mode"})
"""Knobs that decide more of a point than its configuration: with an axis of them each is built."""


class AxisValue(NamedTuple):
    """A value of an axis: as the sweep says it, as a configuration has it, and that in JSON with
    its key, empty where a point's id leaves it out."""

    said: Any
    knob: Any
    json: str


class Grid:
    """Points that differ in the values of axes alone, and are compared with no other.

    `first` has each axis's first value; `named` are the axes that a point's label names.
    """

    def __init__(
        self, first: Point, axes: Mapping[str, tuple[AxisValue, ...]], named: Sequence[str]
    ) -> None:
        self.first, self.axes, self._named = first, axes, tuple(named)
        self._place = {name: number for number, name in enumerate(axes)}
        self._texts, self._holes = self._json_of_knobs()
        what = {
            "limits": first.limits.model_dump(include={"memory_bytes", "memory_kind"}),
            "load_mode": first.load_mode,
            "model": "",
        }
        self._before_model = ", " + json.dumps(what, sort_keys=True)[1:-3]
        work = json.dumps({"workload": first.workload.identity()}, sort_keys=True)
        self._after_model = ", " + work[1:]
        self._order = [getattr(first.config, name) for name in _ORDERED_BY]
        self._order_holes = [
            (place, self._place[name]) for place, name in enumerate(_ORDERED_BY) if name in axes
        ]
        self._load = list(first.load_key)
        self._load_holes = [
            (place, self._place[name]) for place, name in enumerate(LOAD_KNOBS) if name in axes
        ]

    @classmethod
    def of(
        cls, first: Point, axes: Mapping[str, Sequence[Any]], named: Sequence[str]
    ) -> Self | None:
        """The grid of these values, each held against `first`; None where its points must be built
        to be known. ConfigError for values that cannot be."""
        text, config = first.workload.text, first.config
        if first.workload.through != "library" or config.spec_kinds or first.workload.tasks:
            return None
        if (text and text.reference) or _BUILT & axes.keys():
            return None
        together = [name for name in axes if name in HELD_TOGETHER]
        for values in itertools.product(*(axes[name] for name in together)):
            config.with_(**dict(zip(together, values, strict=True)))
        return cls(
            first,
            {
                name: tuple(_axis_value(name, each, config) for each in values)
                for name, values in axes.items()
            },
            named,
        )

    def sketches(self) -> "Iterator[Sketch]":
        """All its points, the last axis's values changing first."""
        return (Sketch(self, values) for values in itertools.product(*self.axes.values()))

    def settings(self, *knobs: str) -> Iterator[Point]:
        """A point for each combination of values that it has of these knobs."""
        axes = (values if name in knobs else values[:1] for name, values in self.axes.items())
        return (Sketch(self, values).build() for values in itertools.product(*axes))

    def with_first(self, first: Point) -> Self:
        """The same values around another point."""
        return type(self)(first, self.axes, self._named)

    def label(self, values: Sequence[AxisValue]) -> str:
        """What the point is called."""
        said = (f"{name}={values[self._place[name]].said}" for name in self._named)
        return " ".join(said) or self.first.group

    def point_id(self, values: Sequence[AxisValue], header_sha256: str) -> str:
        """As `Point.point_id` has it."""
        parts = [self._texts[0]]
        for axis, text in zip(self._holes, self._texts[1:], strict=True):
            parts += (values[axis].json, text)
        knobs = ", ".join(filter(None, parts))
        said = f'{{"config": {{{knobs}}}{self._before_model}"{header_sha256}"{self._after_model}'
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def context_order(self, values: Sequence[AxisValue]) -> tuple[int, ...]:
        """As `Point.context_order` has it."""
        order = self._order.copy()
        for place, axis in self._order_holes:
            order[place] = values[axis].knob
        return (True, *order)

    def load_key(self, values: Sequence[AxisValue]) -> tuple[object, ...]:
        """As `Point.load_key` has it."""
        load = self._load.copy()
        for place, axis in self._load_holes:
            load[place] = values[axis].knob
        return tuple(load)

    def _json_of_knobs(self) -> tuple[list[str], list[int]]:
        """The knobs in JSON without those of the axes, in the pieces between them, and which axes
        come between."""
        texts, holes = [""], list[int]()
        for name in sorted(KNOBS):
            if name in self.axes:
                holes.append(self._place[name])
                texts.append("")
            elif said := _json_of(name, getattr(self.first.config, name)):
                texts[-1] += (", " if texts[-1] else "") + said
        return texts, holes


def _axis_value(name: str, said: Any, config: RunConfig) -> AxisValue:
    value = getattr(config.with_(**{name: said}), name)
    return AxisValue(said, value, _json_of(name, value))


def _json_of(name: str, value: Any) -> str:
    """The knob in JSON with its key, empty where `RunConfig.to_dict` leaves it out."""
    return f'"{name}": {json.dumps(value)}' if is_said(name, value) else ""


class Sketch(NamedTuple):
    """A point of a grid that is not built; what it says of itself is what its point says."""

    grid: Grid
    values: tuple[AxisValue, ...]

    @property
    def group(self) -> str:
        """The group's name."""
        return self.grid.first.group

    @property
    def comes_first(self) -> bool:
        """No: nothing is compared with it."""
        return False

    @property
    def context_order(self) -> tuple[int, ...]:
        """Where it stands among the points of its load."""
        return self.grid.context_order(self.values)

    @property
    def load_key(self) -> tuple[object, ...]:
        """What two points must share to be measured in one process."""
        return self.grid.load_key(self.values)

    def point_id(self, header_sha256: str) -> str:
        """Its point's id."""
        return self.grid.point_id(self.values, header_sha256)

    def build(self) -> Point:
        """The point."""
        grid = self.grid
        knobs = {name: each.knob for name, each in zip(grid.axes, self.values, strict=True)}
        config = grid.first.config.with_(**knobs)
        return replace(grid.first, label=grid.label(self.values), config=config)


Drawn = Point | Sketch
"""A point, built or not."""


class Points(Mapping[str, Point]):
    """The points of a plan by their ids, each built when it is asked for."""

    def __init__(self, drawn: Mapping[str, Drawn]) -> None:
        self._drawn = dict(drawn)

    def __getitem__(self, point_id: str) -> Point:
        drawn = self._drawn[point_id]
        if isinstance(drawn, Point):
            return drawn
        self._drawn[point_id] = built = drawn.build()
        return built

    def __contains__(self, point_id: object) -> bool:
        return point_id in self._drawn

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawn)

    def __len__(self) -> int:
        return len(self._drawn)

    def load_key(self, point_id: str) -> tuple[object, ...]:
        """The load of a point, which need not be built."""
        return self._drawn[point_id].load_key

    def compared(self) -> Iterator[tuple[str, Point]]:
        """Those that may be compared with others, or others with them."""
        for point_id, drawn in self._drawn.items():
            if isinstance(drawn, Point) and drawn.workload.text:
                yield point_id, drawn


def settings(drawn: Iterable[Drawn], *knobs: str) -> Iterator[Point]:
    """Points that have every combination of values that these have of the knobs, and every
    workload: those that are built, and of each grid one for each combination."""
    seen = set[Grid]()
    for each in drawn:
        if isinstance(each, Point):
            yield each
        elif each.grid not in seen:
            seen.add(each.grid)
            yield from each.grid.settings(*knobs)
