"""Whether a card is ready for its first day: new enough, and with nobody else on it."""

from typing import Final

from oomph.errors import ToolchainError
from oomph.measure.bench import Bench
from oomph.measure.nvml import Card, CardLostError, Nvml
from oomph.units import MIB, mib

OLDEST: Final = (7, 5)
"""The compute capability that CUDA 13, and so llama.cpp's prebuilt backend, begins at."""
IDLE_BYTES: Final = 1024 * MIB
"""A desktop takes some hundred MiB of a card; what takes more is a program that computes."""


def only_card(bench: Bench) -> Card:
    """The card that the protocol is for: the first that CUDA shows; ToolchainError where there is none."""
    if not bench.cards:
        raise ToolchainError(
            "no card is seen: run `scripts/setup --cuda` and `oomph doctor`, or try the protocol without one by "
            "--phantom 'RTX 5090' or --cpu"
        )
    return bench.cards[0]


def refuse_unready(bench: Bench, card: Card) -> None:
    """ToolchainError for a card that is too old, busy or gone; each one sentence."""
    capability = card.compute_capability
    if capability and tuple(map(int, capability.split("."))) < OLDEST:
        raise ToolchainError(
            f"{card.name} has compute capability {capability}, and llama.cpp's CUDA 13 backend begins at "
            f"{OLDEST[0]}.{OLDEST[1]}; build llama.cpp against CUDA 12 for it, or choose another card"
        )
    try:
        with Nvml(bench.phantom.nvml_path if bench.phantom else None) as nvml:
            used, processes = nvml.memory(card.index).used_bytes, nvml.processes(card.index)
    except CardLostError as error:
        raise ToolchainError(f"{card.name} does not answer ({error}); reset it or the machine") from None
    if used > IDLE_BYTES:
        who = ", ".join(f"process {pid}" for pid in sorted(processes)) or "a process that cannot be seen from here"
        raise ToolchainError(
            f"{card.name} is busy: {mib(used)} are in use by {who}; end it, choose another card with "
            "CUDA_VISIBLE_DEVICES, or measure beside it with --busy"
        )
