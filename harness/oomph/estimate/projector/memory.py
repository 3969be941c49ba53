"""A projector's memory: weights and compute buffers, at load and for its largest image.

llama.cpp loads a projector after the model and reserves for one image of a fixed size (clip.cpp,
`warmup`); a larger image, or several at once, make the buffers grow when they come. Both are
replayed (`towers`). An encoder whose graph is not declared is sized by a bound, and that is said.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

from oomph.architectures.projector import ProjectorSpec
from oomph.estimate.allocator import AllocationProgram
from oomph.estimate.backends import alignment, alloc_bytes, supports
from oomph.estimate.graph.placement import CPU
from oomph.estimate.memory import allocated_bytes
from oomph.estimate.projector.encoder import Encoder
from oomph.estimate.projector.towers import TOWERS, encoder_graph
from oomph.estimate.projector.vision import VisionSizes, vision_sizes
from oomph.estimate.scheduler import schedule

Bytes = Counter[str]
"""Bytes by device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderBuffers:
    """The compute buffers of one graph by device; `n_splits` and `n_nodes` are what clip.cpp
    prints of it."""

    bytes: dict[str, int]
    flash_attn: bool
    n_splits: int
    n_nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """One image, or several alike at once, in pixels."""

    width: int
    height: int
    n_batch: int = 1


class ProjectorMemory:
    """The memory of `spec` on `device`, llama.cpp's first card or the CPU."""

    def __init__(
        self,
        spec: ProjectorSpec,
        device: str,
        *,
        flash_attn: str = "auto",
        image_min_tokens: int | None = None,
        image_max_tokens: int | None = None,
    ) -> None:
        self.spec, self.device = spec, device
        self._asked = flash_attn
        self._limits = image_min_tokens, image_max_tokens
        self._buffers: dict[tuple[ImageSize, bool], EncoderBuffers] = {}

    @property
    def has_known_graph(self) -> bool:
        """Whether the graph of its eye is declared, and can be replayed."""
        return self.spec.vision_kind in TOWERS

    @property
    def is_known(self) -> bool:
        """Whether its compute buffers are exact: it must have no ear besides."""
        return self.has_known_graph and not self.spec.has_audio

    @cached_property
    def sizes(self) -> VisionSizes:
        """The encoder's numbers under the limits asked for."""
        low, high = self._limits
        return vision_sizes(self.spec, image_min_tokens=low, image_max_tokens=high)

    @cached_property
    def weight_bytes(self) -> Bytes:
        """Bytes of its tensors, all on its device."""
        infos = self.spec.tensors.values()
        return Counter({self.device: sum(allocated_bytes(info, self.device) for info in infos)})

    @property
    def warmup(self) -> ImageSize:
        """The image that llama.cpp reserves for."""
        return ImageSize(width=self.sizes.warmup_size, height=self.sizes.warmup_size)

    def at_load(self) -> EncoderBuffers:
        """What is reserved as the projector is loaded (clip_model_loader::warmup): where no kernel
        can fuse the attention, that has been tried first, and a buffer never shrinks."""
        taken = self.of_image(self.warmup)
        if self._asked != "auto" or taken.flash_attn:
            return taken
        tried = self._replayed(self.warmup, flash_attn=True).bytes
        return replace(taken, bytes={name: max(n, tried[name]) for name, n in taken.bytes.items()})

    def of_largest(self) -> EncoderBuffers:
        """What the largest image needs, or as many small ones as go through at once."""
        side = self.sizes.largest_size
        largest = self.of_image(ImageSize(width=side, height=side))
        if self.sizes.max_batch == 1:
            return largest
        n, area = self.sizes.max_batch, self.sizes.token_side**2
        side = int((max(self.sizes.min_pixels, area)) ** 0.5) if self.sizes.max_pixels else side
        side = max(side // self.sizes.token_side, 1) * self.sizes.token_side
        several = self.of_image(ImageSize(width=side, height=side, n_batch=n))
        return max(largest, several, key=lambda buffers: sum(buffers.bytes.values()))

    @cached_property
    def flash_attn(self) -> bool:
        """Whether the encoder's attention is fused, decided with the image of the warm-up: auto
        is, where the device has a kernel for it."""
        if self._asked != "auto":
            return self._asked == "on"
        graph = encoder_graph(self._encoder(self.warmup, flash_attn=True))
        fused = [node for node in graph.nodes if node.op == "FLASH_ATTN_EXT"]
        return all(supports(self.device, node) for node in fused)

    def of_image(self, size: ImageSize) -> EncoderBuffers:
        """The buffers that images of that size need."""
        key = size, self.flash_attn
        if key not in self._buffers:
            self._buffers[key] = self._replayed(size, flash_attn=self.flash_attn)
        return self._buffers[key]

    def _encoder(self, size: ImageSize, *, flash_attn: bool) -> Encoder:
        return Encoder(
            self.spec,
            self.sizes,
            self.device,
            width=size.width,
            height=size.height,
            flash_attn=flash_attn,
            n_batch=size.n_batch,
        )

    def _replayed(self, size: ImageSize, *, flash_attn: bool) -> EncoderBuffers:
        graph = encoder_graph(self._encoder(size, flash_attn=flash_attn))
        n_nodes = len(graph.nodes)
        devices = tuple(dict.fromkeys((self.device, CPU)))
        plan = schedule(graph, devices)
        program = AllocationProgram(plan.leafs, plan.nodes)
        sizes = program.sizes(lambda tensor, pool: alloc_bytes(devices[pool], tensor))
        packing = program.run(sizes, program.likeness(), [alignment(d) for d in devices])
        return EncoderBuffers(
            bytes=dict(zip(devices, packing.bytes, strict=True)),
            flash_attn=flash_attn,
            n_splits=plan.n_splits,
            n_nodes=n_nodes,
        )
