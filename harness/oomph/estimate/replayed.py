"""What was replayed of one model's graphs, kept for the next configuration."""

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from oomph.architectures.spec import ModelSpec
from oomph.estimate.buffers import Packing, Setup
from oomph.estimate.structure import structure_of
from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.estimate.affine_sizes import AffineSizes
    from oomph.estimate.repeats import Selection


@frozen
class Layout:
    """The layers that stand for all, and what a graph of them depends on of where a model lies: two
    placements that have more or fewer equal layers in the same places have one `key`."""

    selection: "Selection"
    key: object
    outside: Sequence[str] | None = None
    """Where the tensors of no layer lie, as far as overrides say; None where more is decided by
    other things than layers that follow one another."""


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
        self.fuses_in: dict[object, bool] = {}
        self.neighbours: set[object] = set()
        """Pairs of layers of graphs in which each fused operator was on its layer's device."""
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


class Learned:
    """What is known of one model's graphs, by its own replays and by those of a model `like` it of
    the same structure; `how` is what else the replays are of: a build, a way to count."""

    def __init__(
        self,
        model: ModelSpec,
        how: object,
        *,
        like: "Learned | None" = None,
        store: ReplayStore | None = None,
    ) -> None:
        self._model, self._how, self._store = model, how, store
        is_like = like is not None and self.structure == like.structure
        self.shared: Replayed = like.shared if like and is_like else self._kept()
        """What no type of a weight decides."""

    @cached_property
    def structure(self) -> object:
        """All that graphs are made of but the types of weights that no backend copies."""
        return structure_of(self._model), self._how

    def of(self, setup: Setup) -> Replayed:
        """What is known of graphs like that of `setup`: shared where every layer's weights are used
        where they lie, so that their types decide nothing."""
        placement = setup.placement
        stays = not placement.cards or not (
            placement.has_overrides or placement.has_on_host(setup.hparams.running)
        )
        return self.shared if stays else self._own

    @cached_property
    def _own(self) -> Replayed:
        """What is known of graphs that the types of this model's weights decide."""
        return self._kept(tuple(info.quant.name for info in self._model.tensors.values()))

    def _kept(self, types: Sequence[str] = ()) -> Replayed:
        """What is known of graphs of this structure, and of these types of weights, from an earlier
        process where there is a store."""
        return Replayed() if self._store is None else self._store.replayed((self.structure, types))
