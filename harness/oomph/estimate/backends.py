"""What ggml's CPU and CUDA backends can run, want to run, and need room for.

The facts of llama.cpp 0.5.0's `ggml-cuda.cu` that decide where a node goes and how large its result
is; `scheduler` and `allocator` hold the algorithms and know no operator by themselves.
"""

from math import prod
from typing import Final

from oomph.estimate.graph.tensor import EXACT, F16, Tensor, pad
from oomph.gguf.ggml_types import QUANTS

ALIGNMENT: Final = {"CPU": 32}
CUDA_ALIGNMENT: Final = 128
"""Bytes that every allocation in a backend's buffers is padded to
(ggml_backend_buft_get_alignment)."""

MATRIX_ROW_PADDING: Final = 512
"""Elements that CUDA pads the last row of a quantized tensor to (MATRIX_ROW_PADDING in
ggml-cuda/common.cuh)."""

WITHOUT_KERNEL: Final = ("TQ1_0", "TQ2_0")
"""Types that CUDA multiplies no matrix of: llama.cpp keeps such weights on the host
(ggml_backend_cuda_device_supports_op, select_weight_buft)."""

OFFLOAD_MIN_BATCH: Final = 32
"""Rows from which a card takes a node from the CPU although its weights must be copied
(GGML_OP_OFFLOAD_MIN_BATCH)."""

_INDEXED: Final = ("F32", "BF16", "F16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
"""Types of cells that a lightning indexer reads."""
_FUSED_HEADS: Final = frozenset({40, 64, 72, 80, 96, 112, 128, 256})
_FUSED_GROUPS: Final = {(192, 128): 8, (320, 256): 32, (512, 512): 1, (576, 512): 1}
"""Widths of K and V that are fused where several query heads share a KV head, a multiple of so
many."""


def alignment(device: str) -> int:
    """Alignment in bytes of a device's buffers."""
    return ALIGNMENT.get(device, CUDA_ALIGNMENT)


def supports(device: str, node: Tensor) -> bool:
    """Whether the device has a kernel for the node; the CPU has one for every node
    (supports_op)."""
    if device == "CPU":
        return True
    if node.op == "FLASH_ATTN_EXT":
        return _fuses(node)
    first = node.src[0] if node.src else node
    if node.op in ("MUL_MAT", "MUL_MAT_ID"):
        is_exact = node.op == "MUL_MAT_ID" and node.kind == EXACT
        return first.quant.name not in WITHOUT_KERNEL and not is_exact
    if node.op == "GET_ROWS":
        return first.quant is not QUANTS["MXFP4"] or first.ne[0] % 256 == 0
    if node.op == "IM2COL":
        return all(source.is_contiguous for source in node.src)
    if node.op == "SSM_CONV":
        return first.ne[1] % 128 == 0
    if node.op == "LIGHTNING_INDEXER":
        is_sized = first.ne[0] == 128 and first.ne[1] in (32, 64)
        return is_sized and node.src[1].quant.name in _INDEXED
    if node.op == "SSM_SCAN":
        state, width, heads, _ = first.ne
        return scans(node.src[3].ne[0], state, width, heads)
    return True


def scans(decay: int, state: int, width: int, heads: int) -> bool:
    """Whether CUDA has a kernel for a selective scan with a state of `state` elements for each of
    `heads` heads' `width` channels: with one `decay` a head (Mamba-2), or one an element."""
    if decay == 1:
        return state in (96, 128, 256) and width % 16 == 0
    return state == 16 and width == 1 and heads % 128 == 0


def _fuses(node: Tensor) -> bool:
    q, k, v = node.src[:3]
    if k.ne[0] in _FUSED_HEADS and v.ne[0] == k.ne[0]:
        return True
    step, shared = _FUSED_GROUPS.get((k.ne[0], v.ne[0]), 0), q.ne[2] // max(k.ne[2], 1)
    return step > 0 and shared >= 2 and shared % step == 0


def wants_offload(node: Tensor) -> bool:
    """Whether the batch is large enough to copy the node's weights to a card for it
    (offload_op)."""
    if node.op == "GET_ROWS":
        return False
    if node.op == "MUL_MAT":
        return node.ne[1] >= OFFLOAD_MIN_BATCH
    if node.op in ("MUL_MAT_ID", "ROPE"):
        return node.ne[2] >= OFFLOAD_MIN_BATCH
    return prod(node.ne[1:]) >= OFFLOAD_MIN_BATCH


def alloc_bytes(device: str, tensor: Tensor, *, reserves_copies: bool = True) -> int:
    """Bytes that a backend's buffer type asks for a tensor, before alignment (get_alloc_size).

    `reserves_copies` counts flash attention's F16 copies of a quantized cache, which older builds
    took from a pool.
    """
    if device == "CPU":
        return tensor.n_bytes
    n = tensor.n_bytes
    if tensor.op == "FLASH_ATTN_EXT" and reserves_copies:
        n = _fused_bytes(tensor, n)
    if tensor.quant.is_quantized and tensor.ne[0] % MATRIX_ROW_PADDING:
        n += tensor.quant.row_bytes(MATRIX_ROW_PADDING - tensor.ne[0] % MATRIX_ROW_PADDING)
    return n


def _fused_bytes(node: Tensor, n: int) -> int:
    """Flash attention's result and, behind it, f16 copies of K and V where a kernel cannot read
    them as they are."""
    q, k, v = node.src[:3]
    vector = (
        q.ne[0] <= 256
        and q.ne[0] % 64 == 0
        and q.ne[0] != 192
        and k.ne[1] % 256 == 0
        and q.ne[1] <= 2
        and k.quant is v.quant
    )
    if vector:
        return n
    if k.quant is not F16:
        n = pad(n, CUDA_ALIGNMENT) + prod(k.ne) * 2
    shares_k = v.view_src is not None and (
        v.view_src is k or (v.view_src is k.view_src and v.offset == k.offset)
    )
    if v.quant is not F16 and not shares_k:
        n = pad(n, CUDA_ALIGNMENT) + prod(v.ne) * 2
    return n
