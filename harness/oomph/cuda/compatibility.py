"""How a CUDA backend, a card and its driver go together, and what to do where they do not."""

from collections.abc import Sequence
from typing import Final

from oomph.cuda.fatbin import GpuCode, Version, dotted
from oomph.frozen import frozen

FIRST_DRIVER: Final = {"12": "525.60", "13": "580.65"}
"""The first Linux driver of a CUDA major: CUDA Compatibility, "Minor Version Compatibility"."""
DRIVER_OF_CUDA: Final = {(13, 0): "580", (13, 1): "590"}
"""The driver branch that came with a CUDA version."""
CUDA_OF_ISA: Final[dict[Version, Version]] = {
    (8, 0): (12, 0), (8, 1): (12, 1), (8, 2): (12, 2), (8, 3): (12, 3), (8, 4): (12, 4), (8,
    5): (12, 5),
    (8, 6): (12, 7), (8, 7): (12, 8), (8, 8): (12, 9), (9, 0): (13, 0), (9, 1): (13, 1),
}  # fmt: skip
"""The CUDA version from which on a driver compiles PTX of an ISA version: PTX ISA, "Release
History"."""
COMPILE: Final = "oomph setup cuda --build"


@frozen
class CardVerdict:
    """How a backend meets a card: `runs`, whether `compiles_first` for some minutes, in words, and
    the way out."""

    runs: bool
    compiles_first: bool = False
    detail: str
    remedy: str | None = None


def driver_verdict(major: str, driver_cuda: Version | None) -> CardVerdict:
    """A backend built for CUDA `major` and a driver that speaks up to `driver_cuda` (None: it does
    not tell)."""
    if driver_cuda is None:
        return CardVerdict(runs=True, detail="which CUDA it speaks it does not tell")
    if driver_cuda[0] >= int(major):
        return CardVerdict(
            runs=True, detail=f"CUDA {dotted(driver_cuda)}, the backend needs {major}"
        )
    first = FIRST_DRIVER.get(major)
    newer = f"install driver {first} or newer" if first else f"install a driver for CUDA {major}"
    return CardVerdict(
        runs=False,
        detail=f"CUDA {dotted(driver_cuda)}, the backend needs {major}",
        remedy=f"{newer}, or {COMPILE} with CUDA {driver_cuda[0]}'s toolkit",
    )


def card_verdict(
    code: Sequence[GpuCode], capability: Version, driver_cuda: Version | None
) -> CardVerdict:
    """A backend's GPU code and a card of this compute capability, under a driver that speaks up to
    `driver_cuda`."""
    name = f"compute capability {dotted(capability)}"
    if any(not each.is_ptx and each.runs_on(capability) for each in code):
        return CardVerdict(runs=True, detail=f"{name}, native code")
    fitting = [each for each in code if each.is_ptx and each.runs_on(capability)]
    if not fitting:
        oldest = min((each.capability for each in code), default=None)
        reason = (
            f"the backend's code begins at {dotted(oldest)}"
            if oldest
            else "the backend has no GPU code"
        )
        return CardVerdict(
            runs=False,
            detail=f"{name}, {reason}",
            remedy=f"{COMPILE} with a CUDA toolkit that knows this card (12 for those before 7.5)",
        )
    best = max(fitting)
    needed = CUDA_OF_ISA.get(best.isa)
    if needed and driver_cuda and driver_cuda < needed:
        too_old = f"is too old to compile the backend's PTX (CUDA {dotted(needed)})"
        branch = f" ({DRIVER_OF_CUDA[needed]})" if needed in DRIVER_OF_CUDA else ""
        return CardVerdict(
            runs=False,
            detail=f"{name}, no native code, and the driver (CUDA {dotted(driver_cuda)}) {too_old}",
            remedy=f"install a driver for CUDA {dotted(needed)} or newer{branch}, or {COMPILE}",
        )
    return CardVerdict(
        runs=True,
        compiles_first=True,
        detail=f"{name}, no native code: the first run compiles PTX for {best} for some minutes, "
        f"later ones do not",
    )


def parse_capability(text: str) -> Version:
    """`9.0` as (9, 0)."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)
