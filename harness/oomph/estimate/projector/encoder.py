"""What the encoders of projectors build with: patches, norms, attention, feed-forward.

An `Encoder` is one graph in the making, of one projector and one size of image; its methods are
those of llama.cpp's clip_graph (tools/mtmd/clip.cpp), node by node. Which of them an encoder has is
in `towers`.
"""

from collections.abc import Callable
from typing import Final

from oomph.architectures.projector import ProjectorSpec
from oomph.errors import ModelFileError
from oomph.estimate.graph.tensor import F16, F32, Graph, Tensor
from oomph.estimate.projector.vision import VisionSizes
from oomph.gguf.ggml_types import QUANTS, QuantType

BF16: Final = QUANTS["BF16"]

Positioned = Callable[[Tensor], Tensor]


class Encoder:
    """The graph of `n_batch` images of `width` x `height` pixels, all weights on `device`."""

    def __init__(
        self,
        spec: ProjectorSpec,
        sizes: VisionSizes,
        device: str,
        *,
        width: int,
        height: int,
        flash_attn: bool,
        n_batch: int = 1,
    ) -> None:
        self.spec, self.sizes, self.device = spec, sizes, device
        self.width, self.height, self.n_batch = width, height, n_batch
        self.columns, self.rows = width // sizes.patch_size, height // sizes.patch_size
        self.n_patches, self.flash_attn = self.columns * self.rows, flash_attn
        self.graph = Graph()
        self.activation = self._activation()
        self._weights: dict[str, Tensor] = {}

    def _activation(self) -> str:
        """hparams.ffn_op: what the feed-forward of a layer applies."""
        metadata = self.spec.metadata
        if metadata.get("clip.use_gelu"):
            return "GELU"
        return "SILU" if metadata.get("clip.use_silu") else "GELU_QUICK"

    # --- weights and inputs

    def has(self, name: str) -> bool:
        """Whether the file has the tensor."""
        return name in self.spec.tensors

    def weight(self, name: str) -> Tensor:
        """The tensor of that full name; ModelFileError without it."""
        info = self.spec.tensors.get(name)
        if info is None:
            raise ModelFileError(
                f"{self.spec.source}: tensor {name!r} is missing, which projector "
                f"{self.sizes.kind!r} needs; is the file complete?"
            )
        if name not in self._weights:
            self._weights[name] = self.graph.leaf(
                info.quant, *info.ne, name=name, device=self.device, is_weight=True
            )
        return self._weights[name]

    def input(self, name: str, quant: QuantType, *ne: int) -> Tensor:
        """An input of the graph."""
        return self.graph.leaf(quant, *ne, name=name, is_input=True)

    # --- operators of their own

    def cast(self, x: Tensor, quant: QuantType) -> Tensor:
        """`x` in another type, contiguous (ggml_cast)."""
        return self.graph.node("CPY", x.ne, x, quant=quant)

    def im2col(self, kernel: Tensor, x: Tensor, quant: QuantType) -> Tensor:
        """The windows of `x` that `kernel` covers, side by side, without overlap (ggml_im2col)."""
        columns, rows = x.ne[0] // kernel.ne[0], x.ne[1] // kernel.ne[1]
        window = kernel.ne[0] * kernel.ne[1] * kernel.ne[2]
        return self.graph.node("IM2COL", (window, columns, rows, x.ne[3]), kernel, x, quant=quant)

    def conv_2d(self, kernel: Tensor, x: Tensor) -> Tensor:
        """`x` folded with a kernel that steps by its own size (ggml_conv_2d)."""
        graph = self.graph
        cols = self.im2col(kernel, x, F32 if kernel.quant is BF16 else F16)
        flat = graph.reshape(cols, cols.ne[0], cols.ne[1] * cols.ne[2] * cols.ne[3])
        matrix = graph.reshape(kernel, kernel.ne[0] * kernel.ne[1] * kernel.ne[2], kernel.ne[3])
        y = graph.mul_mat(flat, matrix)
        y = graph.reshape(y, cols.ne[1], cols.ne[2], cols.ne[3], kernel.ne[3])
        return graph.cont(graph.permute(y, 0, 1, 3, 2))

    def pooled(self, x: Tensor, side: int) -> Tensor:
        """The mean of each square of `side` (ggml_pool_2d)."""
        return self.graph.node("POOL_2D", (x.ne[0] // side, x.ne[1] // side, *x.ne[2:]), x)

    def concat(self, a: Tensor, b: Tensor, axis: int) -> Tensor:
        """`a` and `b` one after the other along a dimension (ggml_concat)."""
        ne = [n + (m if i == axis else 0) for i, (n, m) in enumerate(zip(a.ne, b.ne, strict=True))]
        return self.graph.node("CONCAT", tuple(ne), a, b, quant=a.quant)

    def clamp(self, x: Tensor) -> Tensor:
        """`x` within limits (ggml_clamp)."""
        return self.graph.like("CLAMP", x)

    # --- parts

    def pixels(self) -> Tensor:
        """The image, three channels (build_inp_raw)."""
        return self.input("inp_raw", F32, self.width, self.height, 3, self.n_batch)

    def patches(self, pixels: Tensor | None = None) -> Tensor:
        """[n_embd, n_patches, n_batch] of the image (build_inp)."""
        graph = self.graph
        x = self.conv_2d(self.weight("v.patch_embd.weight"), pixels or self.pixels())
        x = graph.reshape(x, self.n_patches, self.sizes.n_embd, self.n_batch)
        x = graph.cont(graph.transpose(x))
        return (
            graph.add(x, self.weight("v.patch_embd.bias")) if self.has("v.patch_embd.bias") else x
        )

    def matmul(self, name: str, x: Tensor) -> Tensor:
        """The matrix `name` times `x` (build_mm); Gemma 4's are clamped on both sides."""
        weight = self.weight(name)
        if self.sizes.kind != "gemma4v":
            return self.graph.mul_mat(weight, x)
        return self.clamp(self.graph.mul_mat(weight, self.clamp(x)))

    def linear(self, name: str, x: Tensor) -> Tensor:
        """`matmul` of `name`.weight, and its bias where the file has one."""
        y = self.matmul(f"{name}.weight", x)
        bias = f"{name}.bias"
        return self.graph.add(y, self.weight(bias)) if self.has(bias) else y

    def norm(self, x: Tensor, name: str = "", *, rms: bool = False) -> Tensor:
        """`x` normed, times the weight and plus the bias of `name` where the file has them
        (build_norm)."""
        y = self.graph.like("RMS_NORM" if rms else "NORM", x)
        if self.has(f"{name}.weight"):
            y = self.graph.mul(y, self.weight(f"{name}.weight"))
        if self.has(f"{name}.bias"):
            y = self.graph.add(y, self.weight(f"{name}.bias"))
        return y

    def norm_if(self, x: Tensor, name: str, *, rms: bool = False) -> Tensor:
        """`norm` where the file has that norm's weight, else `x`."""
        return self.norm(x, name, rms=rms) if self.has(f"{name}.weight") else x

    def feed(self, x: Tensor, up: str, down: str, gate: str = "", kind: str = "GELU") -> Tensor:
        """A feed-forward of these matrices, gated where the file has `gate` (build_ffn)."""
        y = self.linear(up, x)
        if gate and self.has(f"{gate}.weight"):
            y = self.graph.glu(self.linear(gate, x), y)
        else:
            y = self.graph.unary(kind, y)
        return self.linear(down, y)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, output: str, mask: Tensor | None = None
    ) -> Tensor:
        """Attention of [d_head, n_head, n_pos, n_batch], as [n_embd, n_pos * n_batch]
        (build_attn)."""
        graph = self.graph
        for x in (q, k, v):
            graph.expand(x)
        q, k = graph.permute(q, 0, 2, 1, 3), graph.permute(k, 0, 2, 1, 3)
        if self.flash_attn:
            v = graph.permute(v, 0, 2, 1, 3)
            k, v = self.cast(k, F16), self.cast(v, F16)
            mask = self.cast(mask, F16) if mask else None
            y = graph.node("FLASH_ATTN_EXT", (v.ne[0], q.ne[2], q.ne[1], q.ne[3]), q, k, v, mask)
            y = graph.reshape(y, y.ne[0] * y.ne[1], y.ne[2] * y.ne[3])
        else:
            v = graph.cont(graph.permute(v, 1, 2, 0, 3))
            scores = graph.like("SOFT_MAX", graph.mul_mat(k, q), mask)
            y = graph.permute(graph.mul_mat(v, scores), 0, 2, 1, 3)
            y = graph.cont(y, y.ne[0] * y.ne[1], y.ne[2] * y.ne[3])
        return self.linear(output, y)
