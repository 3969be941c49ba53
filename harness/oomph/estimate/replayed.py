"""What was replayed of one model's graphs, kept for the next configuration."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from oomph.estimate.affine_sizes import AffineSizes
from oomph.estimate.allocator import Packing
from oomph.estimate.repeats import Selection


@dataclass(frozen=True, slots=True)
class Layout:
    """The layers that stand for all, and what a graph of them depends on of where a model lies: two
    placements that have more or fewer equal layers in the same places have one `key`."""

    selection: Selection
    key: object


class Replayed:
    """What is known of the graphs of one model, or of several models whose graphs are the same.

    The first five tables are numbers alone, and mean the same to another process: a `ReplayStore`
    may keep them.
    """

    def __init__(self) -> None:
        self.packings: dict[object, Packing | None] = {}
        self.fuses: dict[object, bool] = {}
        self.graph_sizes: dict[object, int] = {}
        self.n_nodes: dict[object, int] = {}
        self.most: dict[object, tuple[int, int, tuple[int, ...]]] = {}
        """The cells of a graph, and what it ever puts into each pool."""
        self.affine: dict[object, AffineSizes] = {}
        self.drawn: dict[object, list[AffineSizes]] = {}
        """Of graphs that differ in the cache's types alone, those whose lines are known."""
        self.linear: set[object] = set()
        """Layouts of which a graph was seen to lie on its lines at one context more."""
        self.fuses_in: dict[object, bool] = {}
        self.layouts: dict[object, Layout] = {}
        self.kinds: dict[object, Sequence[Hashable]] = {}
        self.tried: dict[object, int] = {}
        self._numbers: dict[Hashable, int] = {}

    def number(self, what: Hashable) -> int:
        """A number for `what`, the same each time."""
        return self._numbers.setdefault(what, len(self._numbers))


class ReplayStore(Protocol):
    """Where what was replayed is kept from one process to the next."""

    def replayed(self, structure: object) -> Replayed:
        """What is known of graphs of this structure."""
        ...
