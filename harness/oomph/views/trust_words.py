"""How far an estimate can be trusted, as a sentence and as JSON."""

from dataclasses import asdict
from typing import Any, Final

from oomph.estimate.trust import Trust
from oomph.units import share

_ARCHITECTURES: Final = {
    "exact": "architecture replayed exactly",
    "composed": "architecture not in the table, its graph composed from the usual tensors",
    "general rule": "architecture known by the general rule only",
}
_WHOSE: Final = {
    "": "",
    "mtp": "the head's ",
    "draft": "the draft's ",
    "projector": "the projector's ",
    "lora": "the adapter's ",
}
_BUILDS: Final = {
    "seen": "build checked",
    "from source": "build read in its source, not run",
    "unknown": "build not seen",
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
    known = f"{_WHOSE[trust.rider]}{_ARCHITECTURES[trust.architecture]}"
    return f"trust: {known}, {_BUILDS[trust.build]}: {follows}{learned}"
