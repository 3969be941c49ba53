"""What a run takes of the host's memory: what it holds, maps from the file, and fills in use.

llama-server keeps two caches there that no log line of the load tells. A *checkpoint* is a copy of
what a slot cannot be rolled back in (its windows' cells, its recurrent states), up to
`ctx_checkpoints` of them a slot; the *prompt cache* holds whole states of slots that another
conversation took, with their checkpoints, up to `cache_ram_mib`. Both start empty.
"""

from collections.abc import Mapping
from typing import Final

from oomph.cards import Card
from oomph.config import RunConfig
from oomph.estimate.host import HostFit, HostMemory
from oomph.estimate.machine import Machine
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, is_card
from oomph.units import GIB, MIB

SERVER_BYTES: Final = 31 * MIB
"""llama-server's own, its libraries included. With its vocabulary it took 38 MiB of 49,152 tokens
and 67 MiB of 262,144 (0.5.0 on the CPU, bench/peers/host_memory.py)."""
TOKEN_BYTES: Final = 144
"""What a token of the vocabulary takes beside the file (the same two)."""
SYSTEM_BYTES: Final = {"linux": GIB, "windows": 3 * GIB}
"""What is left to the system and what else runs of a host's RAM. A choice, not a measurement: a
bare Linux takes some 0.5 GiB, Windows 11 asks for a machine of 4 GiB."""
_MAPPED: Final = ("auto", "mmap")
"""Load modes in which weights on the host are pages of the file that the system may drop."""
_READ: Final = ("projector", "lora")
"""Riders whose file is read whatever the load mode is (clip.cpp, llama-adapter.cpp)."""

CACHE_STEP_MIB: Final = 256
"""A prompt cache that fits is told in steps of so many MiB."""


def host_bytes(memory: MemoryEstimate) -> int:
    """Weights, caches and states that stay in the host's memory."""
    return sum(
        part.weights_bytes + part.kv_cache_bytes + part.recurrent_bytes
        for name, part in memory.devices.items()
        if not is_card(name)
    )


def program_bytes(n_vocab: int, cuda_bytes: int) -> int:
    """The program itself with a vocabulary of so many tokens, and what CUDA keeps on the host, 0
    without a card."""
    return SERVER_BYTES + TOKEN_BYTES * n_vocab + cuda_bytes


def host_memory(
    memory: MemoryEstimate,
    config: RunConfig,
    *,
    process_bytes: int,
    checkpoint_bytes: int,
    is_integrated: bool = False,
) -> HostMemory:
    """The host's part of `memory`, and what its caches grow to.

    `checkpoint_bytes` is one checkpoint of a slot, 0 for a model that needs none. A card that is
    integrated has no mapped files (ggml-cuda.cu, caps.mmap_support), so that "auto" reads the file.
    """
    parts = [part for name, part in memory.devices.items() if not is_card(name)]
    weights, beside = sum(part.weights_bytes for part in parts), draft_bytes(memory)
    read = sum(
        part.weights_bytes
        for rider in _READ
        for name, part in memory.contexts.get(rider, {}).items()
        if not is_card(name)
    )
    is_mapped = config.load_mode in _MAPPED and not (is_integrated and config.load_mode == "auto")
    mapped, cache_ram = weights - read if is_mapped else 0, config.cache_ram_mib
    return HostMemory(
        process_bytes=process_bytes,
        weights_bytes=weights - mapped,
        mapped_bytes=mapped,
        cache_bytes=sum(part.kv_cache_bytes + part.recurrent_bytes for part in parts),
        buffer_bytes=sum(part.compute_bytes + part.output_bytes for part in parts),
        checkpoints_bytes=config.ctx_checkpoints * (config.n_seq_max * checkpoint_bytes + beside)
        if checkpoint_bytes
        else 0,
        prompt_cache_bytes=None if cache_ram < 0 else cache_ram * MIB,
    )


def draft_bytes(memory: MemoryEstimate) -> int:
    """What one checkpoint of every slot holds of the contexts that ride along, at most: their whole
    KV caches, for a plain cache writes all cells whatever is asked of it (server-context.cpp,
    create_checkpoint: update_dft; llama_kv_cache::state_write)."""
    return sum(
        part.kv_cache_bytes for devices in memory.riders.values() for part in devices.values()
    )


def shared_card(cards: Mapping[str, Card]) -> str | None:
    """The card, by its device's name, whose memory is the host's own; None where each has its
    own."""
    return next((name for name, card in cards.items() if card.spec and card.spec.is_unified), None)


def pool_bytes(devices: Mapping[str, DeviceMemory], process_bytes: int) -> int:
    """What the program and the host's devices take of a card whose memory is the host's."""
    return process_bytes + sum(
        part.total_bytes for name, part in devices.items() if not is_card(name)
    )


def host_room(machine: Machine) -> int | None:
    """The RAM that a run may take on `machine`; None where nobody said how much there is."""
    if machine.ram_bytes is None:
        return None
    return max(machine.ram_bytes - SYSTEM_BYTES[machine.system], 0)


def fitting_caches(host: HostFit, config: RunConfig) -> RunConfig | None:
    """`config` with its two caches cut to what the RAM leaves them beside the rest: checkpoints are
    kept first, for a prompt is read anew without them, then saved prompts in whole 256 MiB.

    None where they fit as they are, where nothing is known of the RAM, or where smaller caches do
    not help.
    """
    if host.state != "may_fill" or host.room_bytes is None:
        return None
    left, n = host.room_bytes - host.memory.busy_bytes, config.ctx_checkpoints
    each = host.memory.checkpoints_bytes // n if n else 0
    kept = min(n, left // each) if each else n
    most = (left - kept * each) // MIB // CACHE_STEP_MIB * CACHE_STEP_MIB
    asked = config.cache_ram_mib
    return config.with_(ctx_checkpoints=kept, cache_ram_mib=most if asked < 0 else min(asked, most))
