"""What was replayed of one model's graphs, kept for the next configuration."""

from collections.abc import Hashable, Sequence
from typing import Protocol

from oomph.estimate.affine_sizes import AffineSizes
from oomph.estimate.allocator import Packing
from oomph.estimate.repeats import Selection


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
        self.selections: dict[object, Selection] = {}
        self.signatures: dict[object, Sequence[Hashable]] = {}
        self.tried: dict[object, int] = {}


class ReplayStore(Protocol):
    """Where what was replayed is kept from one process to the next."""

    def replayed(self, structure: object) -> Replayed:
        """What is known of graphs of this structure."""
        ...
