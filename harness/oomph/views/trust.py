"""How far an estimate can be trusted, as a sentence and as JSON."""

from dataclasses import asdict
from typing import Any, Final

from oomph.estimate.trust import Trust
from oomph.units import share

_ARCHITECTURES: Final = {
    "exact": "this architecture is replayed exactly",
    "composed": "this architecture's graph is composed from its tensors, as others have them",
    "general rule": "this architecture is known by the general rule only",
}
_BUILDS: Final = {
    "seen": "this build was checked",
    "from source": "this build was read in its source, not run",
    "unknown": "this build was not seen",
}


def trust_json(trust: Trust) -> dict[str, Any]:
    """The same for programs; the share is of the compute buffers."""
    return asdict(trust) | {"is_exact": trust.is_exact}


def trust_sentence(trust: Trust) -> str:
    """What the figures rest on, and by how much the compute buffers may be off."""
    if trust.is_counted:
        return (
            "trust: the compute buffers are those that llama.cpp itself counts, as its --fit does"
        )
    if trust.is_exact:
        follows = "buffers ± 0 bytes"
    elif trust.compute_share is None:
        follows = "no bound was measured for the compute buffers"
    else:
        follows = f"compute buffers ± {share(trust.compute_share, 0)}"
    learned = ", as `oomph verify` saw here" if trust.is_learned else ""
    return (
        f"trust: {_ARCHITECTURES[trust.architecture]} and {_BUILDS[trust.build]}: "
        f"{follows}{learned}"
    )
