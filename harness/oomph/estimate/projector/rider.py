"""A projector beside a model: loaded after it, on the first card or in host memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.architectures.projector import ProjectorSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.estimate.buffers import ComputeBuffers, Setup
from oomph.estimate.graph.placement import CPU
from oomph.units import count, mib

if TYPE_CHECKING:
    from oomph.estimate.projector.memory import ProjectorMemory

FIRST_CARD: Final = "CUDA0"
"""Where clip.cpp puts a projector, whatever the devices of the model are (clip_ctx)."""

_AT_ONCE: Final = ("gemma3", "gemma4v", "gemma4uv")
"""Kinds whose images a model reads as a whole, each token seeing all others
(mtmd_decode_use_non_causal)."""
_CAUSAL_WIDTHS: Final = (1536, 2560)
"""Widths of the Gemma 4 models that read images token by token all the same (E2B, E4B)."""


class Projector:
    """The rider of `spec`; its knobs are the configuration's `mmproj_offload`,
    `image_min_tokens`, `image_max_tokens` and `flash_attn`."""

    name: Final = "projector"
    composes: Final = False
    read_layers: Final = ()

    def __init__(self, spec: ProjectorSpec) -> None:
        self.spec = spec
        self._memories: dict[object, ProjectorMemory] = {}

    def memory(self, config: RunConfig) -> "ProjectorMemory":
        """Its memory under `config`; what was replayed is kept."""
        device = FIRST_CARD if config.mmproj_offload and config.n_devices else CPU
        limits = config.image_min_tokens, config.image_max_tokens
        key = device, config.flash_attn, limits
        if key not in self._memories:
            from oomph.estimate.projector.memory import ProjectorMemory

            self._memories[key] = ProjectorMemory(
                self.spec,
                device,
                flash_attn=config.flash_attn,
                image_min_tokens=limits[0],
                image_max_tokens=limits[1],
            )
        return self._memories[key]

    def fixed_bytes(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> Mapping[str, Mapping[str, int]]:
        """Its weights; and as overhead, for it is printed nowhere, what its compute buffers grow
        by with the largest image, and what a named card's encoder takes besides."""
        memory = self.memory(config)
        fixed: dict[str, Mapping[str, int]] = {"weights_bytes": memory.weight_bytes}
        if memory.has_known_graph:
            loaded, largest = memory.at_load().bytes, memory.of_largest().bytes
            growth = {name: max(largest[name] - n, 0) for name, n in loaded.items()}
            for card in cards:
                if card.spec and card.device == memory.device:
                    growth[card.device] += memory.pool_bytes(card.spec)
            fixed["overhead_bytes"] = growth
        return fixed

    def compute_buffers(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> ComputeBuffers:
        """What is reserved at load: replayed, or a bound where the encoder is not known."""
        memory = self.memory(config)
        if memory.has_known_graph:
            found = memory.at_load().bytes
        else:
            from oomph.estimate.projector.rough import rough_encoder

            found = {memory.device: rough_encoder(self.spec)}
        return ComputeBuffers(bytes=found, live_bytes=found, is_exact=memory.is_known)

    def counted_by_fit(self, config: RunConfig) -> Mapping[str, int]:
        """What llama-server's --fit leaves for it, by device: its data and what is reserved at
        load (mtmd_get_memory_usage)."""
        memory = self.memory(config)
        n_bytes = sum(info.n_bytes for info in self.spec.tensors.values())
        if memory.has_known_graph:
            n_bytes += memory.at_load().bytes[memory.device]
        return {memory.device: n_bytes}

    def notes(self, config: RunConfig) -> Iterator[str]:
        """How many tokens an image takes, what a large one adds, and what is not known."""
        memory = self.memory(config)
        yield from self.spec.notes
        if memory.has_known_graph:
            yield from self._of_images(memory, config)
        if not memory.is_known:
            yield self._of_unknown(memory)

    def _of_images(self, memory: "ProjectorMemory", config: RunConfig) -> Iterable[str]:
        least, most = memory.sizes.token_range
        side = memory.sizes.largest_size
        many = count(most) if least == most else f"{count(least)} to {count(most)}"
        told = f"an image takes {many} tokens of the context"
        loaded, largest = (
            each.bytes[memory.device] for each in (memory.at_load(), memory.of_largest())
        )
        if largest > loaded:
            told += (
                f"; one of {side} x {side} pixels makes the projector's compute buffer grow from "
                f"{mib(loaded)} to {mib(largest)}, which is counted as overhead"
            )
        yield told
        whole = self.spec.vision_kind in _AT_ONCE and self.spec.n_embd_out not in _CAUSAL_WIDTHS
        at_once = memory.sizes.tokens(side, side)
        if whole and at_once > config.n_ubatch:
            yield (
                f"llama-server aborts at an image of more than {count(config.n_ubatch)} tokens, "
                f"for this model reads an image at once: set n_ubatch to {count(at_once)}, or "
                "image_max_tokens below it"
            )

    def _of_unknown(self, memory: "ProjectorMemory") -> str:
        if memory.has_known_graph:
            return "what the projector's ear computes in is not known: only its weights are counted"
        kind = self.spec.vision_kind or self.spec.audio_kind
        if not self.spec.has_vision:
            return f"what projector {kind!r} computes in is not known: only its weights are counted"
        return (
            f"the graph of projector {kind!r} is not known: its compute buffer is a bound, the "
            "most that any known kind takes of as many patches at load"
        )
