"""How far a figure can be trusted: is the architecture known, is the build, and what follows.

Weights, caches and states are sums that no build has changed; what a build or an unknown graph
moves are the compute buffers. So the bound is a share of these.
"""

from typing import Final, Literal

from oomph.frozen import frozen

Architecture = Literal["exact", "composed", "general rule"]
"""In the table, its graph replayed; the graph put together from the usual tensors that the file
has; or a rule of thumb."""
BuildKnown = Literal["seen", "from source", "unknown"]
"""Its own lines were held against the replay; read in its source, or dated by it; or neither."""

NEWEST_BUILD: Final = 11_549
"""The newest that was held against the replay here."""
WHEELS_BUILD: Final = 11_330
"""llama-cpp-python 0.3.36, commit 0c1e570: seen on the CPU, and with the CUDA backend of v0.5.0 on
phantom cards; what came before is dated by its pull requests."""
_READ_BUILD: Final = 11_434
_COMMITS: Final = {"0c1e570": WHEELS_BUILD}
COMPOSED_SHARE: Final = 0.10
"""The most by which composing was off for the catalogue's decoders, taken for unknown ones: 0 for
most, 10 % for llama-4-scout."""
DRIFT_SHARE: Final = 0.56
"""The most by which a compute buffer moved from b11330 to b11549, of 30 models in 6 settings
(tests/data/builds.jsonl); half of them moved by less than 6 %."""
_OF_BUILD: Final[dict[str, float | None]] = {
    "seen": 0.0,
    "from source": None,
    "unknown": DRIFT_SHARE,
}
LESS_KNOWN: Final = {"exact": 0, "composed": 1, "general rule": 2}
"""Architectures by how little is known of them."""
_OF_GRAPH: Final[dict[str, float | None]] = {
    "exact": 0.0,
    "composed": COMPOSED_SHARE,
    "general rule": None,
}


@frozen
class Trust:
    """What is known of the architecture and of the build, and by what share the compute buffers may
    be off: 0 is to the byte, None is that nothing was measured. `is_learned` says that the share is
    what `oomph verify` saw of this build here, `is_counted` that llama.cpp itself has counted the
    buffers (`oomph estimate --exact`). `rider` names what rides along where it is less known than
    the model itself: the architecture is then its own."""

    architecture: Architecture = "exact"
    rider: str = ""
    build: BuildKnown = "seen"
    compute_share: float | None = 0.0
    is_learned: bool = False
    is_counted: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether the figures are to the byte."""
        return self.compute_share == 0


def build_of_commit(commit: str | None) -> int | None:
    """The number of the build of a commit, as ggml tells it; None for one that is not known."""
    return _COMMITS.get((commit or "")[:7])


def known_build(number: int | None, *, has_cards: bool) -> BuildKnown:
    """What is known of build `number`; None is 0.5.0. With cards CUDA's own fusions count."""
    if number is None or number == WHEELS_BUILD or (number == NEWEST_BUILD and not has_cards):
        return "seen"
    is_read = number < WHEELS_BUILD or number in (_READ_BUILD, NEWEST_BUILD)
    return "from source" if is_read else "unknown"


def trust_of(
    architecture: Architecture,
    number: int | None,
    *,
    has_cards: bool,
    learned: float | None = None,
) -> Trust:
    """How far figures of this architecture under build `number` can be trusted; `learned` is the
    share by which `oomph verify` saw the build off."""
    build = known_build(number, has_cards=has_cards)
    is_learned = learned is not None and build != "seen"
    of_build = learned if is_learned else _OF_BUILD[build]
    of_graph = _OF_GRAPH[architecture]
    share = None if of_build is None or of_graph is None else max(of_build, of_graph)
    return Trust(architecture=architecture, build=build, compute_share=share, is_learned=is_learned)
