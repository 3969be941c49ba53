"""What NVML and the driver say of a card before any model, and what a CUDA context takes."""

from typing import Any

from oomph.measure.ballast import door_to, holding
from oomph.measure.bench import Bench
from oomph.measure.nvml import Nvml, NvmlCard


def card_facts(bench: Bench, card: NvmlCard) -> dict[str, Any]:
    """`nvml` and `cuda` as they say it, and `context`: what a context without any allocation takes,
    seen three ways.

    NVML's device memory counts everything, its process memory this context alone, and CUDA says
    what is left to a process that has a context; None where one does not tell. Raises
    ToolchainError where the driver refuses.
    """
    with Nvml(bench.phantom.nvml_path if bench.phantom else None) as nvml:
        facts, before = nvml.facts(card.index), nvml.memory(card.index)
        with holding(door_to(bench, card)) as holder:
            during, processes, cuda = (
                nvml.memory(card.index),
                nvml.processes(card.index) or {},
                holder.said,
            )
    used = before.used_bytes if before and during else None
    taken = cuda["total_with_context_bytes"] - cuda["free_with_context_bytes"]
    context = {
        "nvml_device_bytes": during.used_bytes - used if during and used is not None else None,
        "nvml_process_bytes": processes.get(holder.pid),
        # where NVML cannot tell the driver's own memory apart, what was in use before cannot be
        # told either
        "cuda_bytes": taken - used
        if used is not None and before and before.reserved_bytes is not None
        else None,
    }
    return {"name": card.name, "nvml": facts, "cuda": cuda, "context": context}
