"""What a configuration takes of the host's memory, and what a host is taken to have."""

from typing import Final

from oomph.estimate.prediction import MemoryEstimate, is_card
from oomph.units import GIB

USUAL_HOST_BYTES: Final = 16 * GIB
"""What a host is taken to have free beside a card, one of 32 GiB; whether it has more, nobody
said."""


def host_bytes(memory: MemoryEstimate) -> int:
    """Weights and caches that stay in the host's memory."""
    return sum(
        device.weights_bytes + device.kv_cache_bytes + device.recurrent_bytes
        for name, device in memory.devices.items()
        if not is_card(name)
    )
