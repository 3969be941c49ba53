"""Whether a card is ready for its first day: it is there, and nobody else is on it."""

from typing import Final

from oomph.errors import ToolchainError
from oomph.measure.bench import Bench
from oomph.measure.nvml import CardLostError, Nvml, NvmlCard
from oomph.units import MIB, mib

IDLE_BYTES: Final = 1024 * MIB
"""A desktop takes some hundred MiB of a card; what takes more is a program that computes."""


def only_card(bench: Bench) -> NvmlCard:
    """The card that the protocol is for: the first that CUDA shows; ToolchainError where there is
    none."""
    if not bench.cards:
        raise ToolchainError(
            f"no card is seen{f' ({bench.remark})' if bench.remark else ''}: run `oomph setup "
            "cuda` and `oomph doctor`, or try the protocol without one by --phantom 'RTX 5090' or "
            "--cpu"
        )
    return bench.cards[0]


def refuse_unready(bench: Bench, card: NvmlCard) -> None:
    """ToolchainError for a card that is busy or gone, one sentence each; the bench has refused what
    is too old."""
    try:
        with Nvml(bench.phantom.nvml_path if bench.phantom else None) as nvml:
            memory, processes = nvml.memory(card.index), nvml.processes(card.index) or {}
    except CardLostError as error:
        raise ToolchainError(
            f"{card.name} does not answer ({error}); reset it or the machine"
        ) from None
    if memory is None:  # an integrated GPU: what is in use is the host's
        return
    # else the driver's own part is in it
    idle = IDLE_BYTES if memory.reserved_bytes is not None else 2 * IDLE_BYTES
    if (used := memory.used_bytes) > idle:
        who = (
            ", ".join(f"process {pid}" for pid in sorted(processes))
            or "a process that cannot be seen from here"
        )
        raise ToolchainError(
            f"{card.name} is busy: {mib(used)} are in use by {who}; end it, choose another card "
            "with CUDA_VISIBLE_DEVICES, or measure beside it with --busy"
        )
