"""What NVML and the CUDA driver say of a card before any model is on it, and what a CUDA context takes."""

from typing import Any

from oomph.measure.ballast import door_to, holding
from oomph.measure.bench import Bench
from oomph.measure.nvml import Card, Nvml


def card_facts(bench: Bench, card: Card) -> dict[str, Any]:
    """`nvml` and `cuda` as they say it, and `context`: what a context without any allocation takes, seen three ways.

    NVML's device memory counts everything, its process memory this context alone (None where it is hidden), and CUDA
    says what is left to a process that has a context. Raises ToolchainError where the driver refuses.
    """
    with Nvml(bench.phantom.nvml_path if bench.phantom else None) as nvml:
        facts = nvml.facts(card.index)
        before = nvml.memory(card.index).used_bytes
        with holding(door_to(bench, card)) as holder:
            used, processes = nvml.memory(card.index).used_bytes, nvml.processes(card.index)
            cuda = holder.said
    taken = cuda["total_with_context_bytes"] - cuda["free_with_context_bytes"]
    return {
        "name": card.name,
        "nvml": facts,
        "cuda": cuda,
        "context": {
            "nvml_device_bytes": used - before,
            "nvml_process_bytes": processes.get(holder.pid),
            # where NVML cannot tell the driver's own memory apart, what was in use before cannot be told either
            "cuda_bytes": None if facts["reserved_bytes"] is None else taken - before,
        },
    }
