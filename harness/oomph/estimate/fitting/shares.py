"""How --fit hands a model's layers to the cards, and the knobs that say so.

Each card holds a run of layers, the last ones perhaps in part: of a mixture of experts without
their matrices, of the first one in part also with some of them (common/fit.cpp, `ngl_t`,
`get_overflow_pattern` and `set_ngl_tensor_split_tbo`).
"""

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from oomph.config import RunConfig
from oomph.estimate.graph.placement import CPU
from oomph.frozen import frozen
from oomph.units import MIB

WRAP: Final = 1 << 32
"""llama.cpp counts layers in 32 bits without a sign, and takes one from none when it tries to move
a layer's part off a card that has the output alone."""


class Kept(Enum):
    """What a card keeps of a layer that it holds in part; the value matches what lies elsewhere."""

    ATTENTION = r"blk\.{}\.ffn_(gate|up|gate_up|down).*"
    AND_UP = r"blk\.{}\.ffn_(gate|gate_up|down).*"
    AND_GATE = r"blk\.{}\.ffn_down.*"
    ALL_BUT_EXPERTS = r"blk\.{}\.ffn_(up|down|gate_up|gate)_(ch|)exps"


ALL_EXPERTS: Final = r"blk\.\d+\.ffn_(up|down|gate_up|gate)_(ch|)exps=" + CPU
"""Moves the experts of every layer to the host."""


@frozen
class Share:
    """One card's layers, of which the last `n_part` are there in part.

    The first of these keeps `first`, its rest lies on `spill`; the others keep all but experts.
    """

    n_layer: int = 0
    n_part: int = 0
    first: Kept = Kept.ALL_BUT_EXPERTS
    spill: str = CPU

    @property
    def n_full(self) -> int:
        """Layers that are there as a whole."""
        return (self.n_layer - self.n_part) % WRAP


def knobs(shares: Sequence[Share], n_layer: int) -> dict[str, Any]:
    """The knobs of RunConfig that place `n_layer` layers and the output so."""
    n_gpu_layers = sum(share.n_layer for share in shares) % WRAP
    placed: dict[str, Any] = {"n_gpu_layers": n_gpu_layers}
    placed["override_tensor"] = ",".join(_overrides(shares, n_layer + 1 - n_gpu_layers)) or None
    if len(shares) > 1 and n_gpu_layers:
        placed["tensor_split"] = tuple(float(share.n_layer) for share in shares)
    return placed


def _overrides(shares: Sequence[Share], il: int) -> Iterator[str]:
    """`pattern=buffer` for each layer that is there in part, `il` being the first on a card."""
    for share in shares:
        il = (il + share.n_full) % WRAP
        end = (il + share.n_part) % WRAP
        for number in range(il, end):
            kept, home = (share.first, share.spill) if number == il else (Kept.ALL_BUT_EXPERTS, CPU)
            yield f"{kept.value.format(number)}={home}"
        il = end


@frozen
class Spill:
    """A run of layers that are on a card in part: what it keeps, and where their rest lies."""

    first: int
    last: int
    kept: Kept
    home: str


def spills(override_tensor: str | None) -> list[Spill]:
    """The overrides that --fit has made, read back; what another has made is left out."""
    found: list[Spill] = []
    for item in (override_tensor or "").split(","):
        pattern, _, home = item.rpartition("=")
        match = re.match(r"blk\\\.([0-9]+)\\", pattern)
        kept = next((k for k in Kept if match and pattern == k.value.format(match[1])), None)
        if match is None or kept is None:
            continue
        il = int(match[1])
        alone = Spill(first=il, last=il, kept=kept, home=home)
        if found and found[-1] == replace(alone, first=found[-1].first, last=il - 1):
            found[-1] = replace(alone, first=found[-1].first)
        else:
            found.append(alone)
    return found


def divided(config: RunConfig, free_bytes: Sequence[int]) -> RunConfig:
    """`config` with the split that llama.cpp makes of the cards' free memory where none is set."""
    if any(config.tensor_split or ()):
        return config
    return replace(config, tensor_split=tuple(map(_share, free_bytes)))


def _share(n_bytes: int) -> float:
    """In a float of 32 bits; as MiB, which changes no share."""
    return float(struct.unpack("f", struct.pack("f", n_bytes / MIB))[0])
