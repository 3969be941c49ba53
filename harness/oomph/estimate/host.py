"""What an estimate says of the host's memory, and how the machine's RAM stands to it."""

from typing import Literal

from oomph.frozen import frozen

HostState = Literal["holds", "may_fill", "reads_disk", "short"]
"""How RAM stands to a run: it holds all; the caches that fill in use do not fit beside the rest;
weights that stay mapped do not, and are read from the disk again and again; it does not load."""


@frozen
class HostMemory:
    """Bytes of the host's memory under one configuration.

    `process_bytes` is the program itself, with what CUDA keeps beside a card. `weights_bytes` are
    held by it, `mapped_bytes` are pages of the file, which the system drops when it needs room and
    reads again. `cache_bytes` are KV caches and recurrent states of layers on the host,
    `buffer_bytes` compute and output buffers, pinned where there is a card. `checkpoints_bytes` and
    `prompt_cache_bytes` are what llama-server's two caches grow to at most; None is without limit.
    """

    process_bytes: int
    weights_bytes: int
    mapped_bytes: int
    cache_bytes: int
    buffer_bytes: int
    checkpoints_bytes: int
    prompt_cache_bytes: int | None

    @property
    def held_bytes(self) -> int:
        """What it takes from the start and never gives back: without it, it does not load."""
        return self.process_bytes + self.weights_bytes + self.cache_bytes + self.buffer_bytes

    @property
    def busy_bytes(self) -> int:
        """What must be in RAM for full speed: what is held, and the mapped weights."""
        return self.held_bytes + self.mapped_bytes

    @property
    def growth_bytes(self) -> int | None:
        """What the two caches grow to at most; None is without limit."""
        if self.prompt_cache_bytes is None:
            return None
        return self.checkpoints_bytes + self.prompt_cache_bytes

    @property
    def most_bytes(self) -> int | None:
        """All of it once both caches are full; None is without limit."""
        growth = self.growth_bytes
        return None if growth is None else self.busy_bytes + growth


@frozen
class HostFit:
    """A run's memory on the host beside the RAM that is there for it. `room_bytes` is None where
    nobody said what RAM there is, and `state` then too. A card whose memory is the host's counts
    all of it: then `is_shared`, and only the caches are a question of their own."""

    memory: HostMemory
    room_bytes: int | None
    state: HostState | None
    is_shared: bool = False


def host_fit(memory: HostMemory, room_bytes: int | None, *, is_shared: bool = False) -> HostFit:
    """`memory` against so much room, None where nobody said how much there is."""
    state = None if room_bytes is None else host_state(memory, room_bytes)
    return HostFit(memory=memory, room_bytes=room_bytes, state=state, is_shared=is_shared)


def runs(state: HostState | None) -> bool:
    """Whether the host lets it run at full speed, as far as is known."""
    return state in (None, "holds", "may_fill")


def host_state(memory: HostMemory, room_bytes: int) -> HostState:
    """How `memory` stands to so much room."""
    if memory.held_bytes > room_bytes:
        return "short"
    if memory.busy_bytes > room_bytes:
        return "reads_disk"
    most = memory.most_bytes
    return "holds" if most is not None and most <= room_bytes else "may_fill"
