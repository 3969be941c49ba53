"""A projector's memory: weights and compute buffers, at load and for its largest image.

llama.cpp loads a projector after the model and reserves for one image of a fixed size (clip.cpp,
`warmup`); a larger image, or several at once, make the buffers grow when they come. Both are
replayed (`towers`). An encoder whose graph is not declared is sized by a bound, and that is said.
"""

from collections import Counter
from dataclasses import replace
from functools import cached_property
from math import prod

from oomph.architectures.projector import ProjectorSpec
from oomph.estimate.allocator import AllocationProgram
from oomph.estimate.backends import alignment, alloc_bytes, supports
from oomph.estimate.graph.placement import CPU
from oomph.estimate.graph.tensor import Graph
from oomph.estimate.memory import allocated_bytes
from oomph.estimate.overhead import POOL_PIECE, workspace_bytes
from oomph.estimate.projector.encoder import Encoder
from oomph.estimate.projector.towers import TOWERS, encoder_graph
from oomph.estimate.projector.vision import VisionSizes, vision_sizes
from oomph.estimate.scheduler import schedule
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

Bytes = Counter[str]
"""Bytes by device."""


@frozen
class EncoderBuffers:
    """The compute buffers of one graph by device; `n_splits` and `n_nodes` are what clip.cpp
    prints of it. `product_bytes` is its largest product's input and output in half precision."""

    bytes: dict[str, int]
    product_bytes: int
    flash_attn: bool
    n_splits: int
    n_nodes: int


@frozen
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
        tried = self._of(self.warmup, flash_attn=True).bytes
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

    def pool_bytes(self, gpu: GpuSpec) -> int:
        """What encoding the largest image takes besides: the encoder's own cuBLAS workspace, and
        its pool, for products in half precision. As counted on phantom cards for F16; other types
        take less, but BF16 on a card without it."""
        pieces = -(-self.of_largest().product_bytes // POOL_PIECE)
        return workspace_bytes(gpu) + pieces * POOL_PIECE

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
        return self._of(size, flash_attn=self.flash_attn)

    def _of(self, size: ImageSize, *, flash_attn: bool) -> EncoderBuffers:
        if (size, flash_attn) not in self._buffers:
            self._buffers[size, flash_attn] = self._replayed(size, flash_attn=flash_attn)
        return self._buffers[size, flash_attn]

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
        n_nodes, product_bytes = len(graph.nodes), _largest_product(graph)
        devices = tuple(dict.fromkeys((self.device, CPU)))
        plan = schedule(graph, devices)
        program = AllocationProgram(plan.leafs, plan.nodes)
        sizes = program.sizes(lambda tensor, pool: alloc_bytes(devices[pool], tensor))
        packing = program.run(sizes, program.likeness(), [alignment(d) for d in devices])
        return EncoderBuffers(
            bytes=dict(zip(devices, packing.bytes, strict=True)),
            product_bytes=product_bytes,
            flash_attn=flash_attn,
            n_splits=plan.n_splits,
            n_nodes=n_nodes,
        )


def _largest_product(graph: Graph) -> int:
    products = (node for node in graph.nodes if node.op == "MUL_MAT" and node.src[0].is_weight)
    return max((2 * (prod(each.src[1].ne) + prod(each.ne)) for each in products), default=0)
