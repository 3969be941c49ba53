"""VRAM that no log line prints: CUDA context, workspace, the growing pool.

Stands apart from the exact sums of `memory` because its parts belong to the card and its driver, or
appear only once a prompt runs. The pool follows ggml-cuda's kernels (mmq.cu, mmf.cu, ggml-cuda.cu
of llama.cpp 0.5.0): each matrix product takes scratch and gives it back, so the pool is as large as
the largest need, rounded up to the pieces in which CUDA maps memory. It is taken at the promised
fill: a full context, a full micro-batch.
"""

from collections.abc import Iterator
from math import ceil, log2
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig, padded_context
from oomph.estimate.card import card_facts
from oomph.estimate.coefficients import Coefficients
from oomph.estimate.graph.placement import META, Placement
from oomph.estimate.prediction import MemoryEstimate, is_card
from oomph.gguf.header import TensorInfo
from oomph.gpus import GpuSpec
from oomph.units import MIB

_NARROW: Final = ((8, 6), (8, 7), (8, 9))
"""Compute capabilities of 1,536 threads an SM; from 11.0 on all have so many, others 2,048."""
RUN_BYTES_PER_THREAD: Final = 256
"""What a context grows by for each thread when a first prompt runs: kernels with larger stack
frames. On an H200 all of it came with the first tokens, 66 to 68 MiB whatever the model."""
POOL_PIECE: Final = 2 * MIB
"""Granularity of CUDA's virtual memory (ggml_cuda_pool_vmm)."""
ROW_PADDING: Final = 512
"""MATRIX_ROW_PADDING: the inner size that quantized activations are padded to."""
Q8_1_BYTES: Final = 9 / 8
"""Bytes of an activation in block_q8_1 (36 for 32); Blackwell multiplies FP4 weights with FP4 ones,
of half that."""
TILE: Final = 128
"""Rows and most columns of an mmq tile."""
FULL_WAVES: Final = 90
"""Percent of the SMs that tiles must keep busy for stream-k to go without its fix-up buffer."""
FLOAT_COLUMNS: Final = 16
"""Up to so many tokens float matrices are multiplied without cuBLAS (ggml_cuda_should_use_mmf)."""
FLASH_COLUMNS: Final = 128
"""Query columns that flash attention's blocks on one multiprocessor hold together; a quarter with
MLA's wide heads."""


def overhead_bytes(
    spec: ModelSpec,
    config: RunConfig,
    gpu: GpuSpec,
    coefficients: Coefficients,
) -> int:
    """Bytes on the card beyond weights, caches and compute buffers, once the context has been
    filled: each card of a run has a context, a workspace and a pool."""
    return (
        driver_bytes(spec, config, gpu, coefficients)
        + pool_bytes(spec, config, gpu)
        + exchange_bytes(spec, config, gpu)
    )


NVIDIA_MEMORY: Final = (
    "memory.context_base_bytes",
    "memory.context_bytes_per_thread",
    "memory.cublas_bytes",
)
"""The coefficients of what NVIDIA's software takes for itself: nothing on a phantom card."""


def driver_bytes(
    spec: ModelSpec, config: RunConfig, gpu: GpuSpec, coefficients: Coefficients
) -> int:
    """What NVIDIA's software takes for itself: the CUDA context and cuBLAS's handle."""
    return context_bytes(gpu, coefficients) + cublas_bytes(spec, config, gpu, coefficients)


def loaded_context_bytes(gpu: GpuSpec, coefficients: Coefficients) -> int:
    """The CUDA context while a model loads, before a first prompt has run."""
    grown = min(RUN_BYTES_PER_THREAD * resident_threads(gpu), context_bytes(gpu, coefficients))
    return context_bytes(gpu, coefficients) - grown


def context_bytes(gpu: GpuSpec, coefficients: Coefficients) -> int:
    """The CUDA context once a prompt has run: a base, as much for each thread that the card can
    hold (its local memory), and what a calibration found for the card itself."""
    values = coefficients.for_card(gpu.name)
    for_threads = values["memory.context_bytes_per_thread"] * resident_threads(gpu)
    return round(
        (values["memory.context_base_bytes"] + for_threads) * values["memory.own_context_factor"]
    )


def cublas_bytes(
    spec: ModelSpec, config: RunConfig, gpu: GpuSpec, coefficients: Coefficients
) -> int:
    """What a cuBLAS handle sets aside on Hopper beside the workspace that ggml gives it; 0 where no
    product of a prompt goes through cuBLAS."""
    if card_facts(gpu).generation != "Hopper":
        return 0
    through = any(through for _, through in _needs(spec, config, gpu, _n_tokens(config)))
    return round(coefficients["memory.cublas_bytes"]) if through else 0


def resident_threads(gpu: GpuSpec) -> int:
    """Threads that the card's SMs hold at once (CUDA programming guide, by compute capability)."""
    capability = _capability(gpu)
    if capability == (7, 5):
        return gpu.sm_count * 1024
    is_narrow = capability in _NARROW or capability >= (11, 0)
    return gpu.sm_count * (1536 if is_narrow else 2048)


def pool_bytes(spec: ModelSpec, config: RunConfig, gpu: GpuSpec) -> int:
    """cuBLAS's workspace, if any product needs cuBLAS, and the pool at its largest: as for whole
    matrices where --split-mode tensor cuts them, 2 to 4 MiB too much in half of six runs."""
    needs = list(_needs(spec, config, gpu, _n_tokens(config)))
    largest = max((need for need, _ in needs), default=0.0)
    workspace = workspace_bytes(gpu) if any(through for _, through in needs) else 0
    return workspace + -(-int(largest) // POOL_PIECE) * POOL_PIECE


SUMMED: Final = ("attn_output.weight", "ssm_out.weight", "ffn_down.weight", "ffn_down_exps.weight")
"""The matrices of a layer whose inner dimension --split-mode tensor cuts: each card's product is a
part of the sum."""
PAIR_STAGING_BYTES: Final = 32 * MIB
"""What two cards without NCCL keep for copies to each other (ggml-cuda/allreduce.cu of 0.5.0,
GGML_CUDA_AR_COPY_MAX_BYTES), from compute capability 7.0 on."""


def exchange_bytes(spec: ModelSpec, config: RunConfig, gpu: GpuSpec) -> int:
    """What a card takes to sum its products with the other cards', --split-mode tensor: a buffer of
    the largest for each halving of their number (ggml_backend_meta_graph_compute), and for two
    cards what ggml-cuda stages copies in. Not what NCCL takes, where llama.cpp is built with it."""
    n_cards = config.n_devices
    if config.split_mode != "tensor" or n_cards < 2:
        return 0
    from oomph.estimate.graph.slices import WHOLE

    if spec.arch in WHOLE:
        return 0
    n_used = config.n_expert_used or spec.n_expert_used
    placement = Placement(config, spec.n_layer)
    rows = (
        n_used if name.endswith("_exps.weight") else 1
        for name in spec.tensors
        if name.endswith(SUMMED) and placement.weight(name) == META
    )
    largest = 4 * spec.n_embd * _n_tokens(config) * max(rows, default=0)
    staging = PAIR_STAGING_BYTES if n_cards == 2 and _capability(gpu) >= (7, 0) else 0
    return staging + ceil(log2(n_cards)) * largest


def pool_key(config: RunConfig) -> tuple[object, ...]:
    """All that `pool_bytes` depends on in a configuration: of the context only without flash
    attention."""
    fused = config.flash_attn != "off"
    is_cut = config.split_mode == "tensor"
    places = (config.n_gpu_layers, config.n_cpu_moe, config.override_tensor) if is_cut else None
    context = (0, 0, False) if fused else (config.n_ctx, config.n_seq_max, config.kv_unified)
    return (
        _n_tokens(config),
        config.n_expert_used,
        fused,
        config.offload_kqv,
        config.n_devices,
        places,
        *context,
    )


def _n_tokens(config: RunConfig) -> int:
    """Tokens of a full micro-batch."""
    return min(config.n_ubatch, config.n_batch, config.n_ctx)


def workspace_bytes(gpu: GpuSpec) -> int:
    """What ggml-cuda gives to cuBLAS: 32 MiB from Hopper on, 4 MiB before (common.cuh)."""
    return (32 if _capability(gpu) >= (9, 0) else 4) * MIB


def _needs(
    spec: ModelSpec, config: RunConfig, gpu: GpuSpec, n: int
) -> Iterator[tuple[float, bool]]:
    """(scratch bytes, whether it goes through cuBLAS) of each product of a prompt's micro-batch;
    products alike are one."""
    n_used = config.n_expert_used or spec.n_expert_used
    dense: dict[object, TensorInfo] = {}
    experts: dict[object, TensorInfo] = {}
    for tensor in spec.tensor_kinds:
        name, kind = tensor.name, (tensor.quant.name, tensor.ne)
        if len(tensor.ne) < 2 or not name.startswith("blk.") or not name.endswith(".weight"):
            continue
        if "_exps." in name:
            experts[kind] = tensor
        elif "conv1d" not in name and "rel_b" not in name:
            dense[kind] = tensor
    for tensor in experts.values():
        yield _expert_product(tensor, gpu, n, n_used)
    for tensor in dense.values():
        yield _dense_product(tensor, gpu, n)
    if not max(spec.per_layer("attention.head_count", 1)):  # recurrent layers alone
        return
    if config.flash_attn != "off":
        yield _flash_attention(spec, gpu), False
    elif config.offload_kqv:
        yield _plain_attention(spec, config, n), True


def _dense_product(tensor: TensorInfo, gpu: GpuSpec, n: int) -> tuple[float, bool]:
    """Quantized: activations in q8_1 and stream-k's fix-up. Float: activations and, for F16, the
    result in 16 bits."""
    inner, rows = tensor.ne[0], tensor.ne[1]
    if tensor.quant.is_quantized:
        if _has_quantized_kernels(gpu):
            return _activations(tensor, gpu, n) + _fixup(rows, n, 1, gpu), False
        return 2.0 * (inner * rows + n * inner + n * rows), True
    if tensor.quant.name == "F32" or n <= FLOAT_COLUMNS:
        return 0.0, n > FLOAT_COLUMNS
    channels = tensor.ne[2] if len(tensor.ne) > 2 else 1
    result = (
        2.0 * n * rows * channels
        if tensor.quant.name == "F16" and _capability(gpu) != (7, 0)
        else 0.0
    )
    return 2.0 * n * inner * channels + result, True


def _expert_product(tensor: TensorInfo, gpu: GpuSpec, n: int, n_used: int) -> tuple[float, bool]:
    """Each token goes to `n_used` experts: so many rows of activations, sorted by expert."""
    inner, rows, n_expert = tensor.ne[0], tensor.ne[1], tensor.ne[-1]
    sorted_rows = n * n_used
    indices = 8.0 * sorted_rows + 4.0 * (n_expert + 1)
    if tensor.quant.is_quantized:
        return indices + _activations(tensor, gpu, sorted_rows) + _fixup(
            rows, n, n_expert, gpu
        ), False
    if n <= (512 if rows <= 1024 else 128):
        return indices, False
    return indices + sorted_rows * (2.0 * inner + 4.0 * rows), True


def _activations(tensor: TensorInfo, gpu: GpuSpec, n: int) -> float:
    """Activations as the quantized kernels take them, and one tile more."""
    in_fp4 = tensor.quant.name in ("MXFP4", "NVFP4") and _capability(gpu) >= (12, 0)
    row = -(-tensor.ne[0] // ROW_PADDING) * ROW_PADDING * Q8_1_BYTES / (2 if in_fp4 else 1)
    return n * row + TILE * 144


def _fixup(rows: int, n: int, channels: int, gpu: GpuSpec) -> float:
    """Stream-k's buffer of partial tiles: one a multiprocessor, unless whole tiles keep 90 % of
    them busy."""
    columns = -(-n // TILE)
    width = -(-n // columns // 8) * 8 if n % (columns * 8) else n // columns
    tiles = -(-rows // TILE) * -(-n // width) * channels
    waves = -(-tiles // gpu.sm_count)
    if 100 * tiles // (gpu.sm_count * waves) >= FULL_WAVES or tiles % gpu.sm_count == 0:
        return 0.0
    return 4.0 * gpu.sm_count * TILE * width


def _flash_attention(spec: ModelSpec, gpu: GpuSpec) -> float:
    """Stream-k's partial results: a row of the value size and two sums for each column in flight
    (fattn-common.cuh)."""
    latent = spec.integer("attention.kv_lora_rank", 0)
    heads = max(spec.per_layer("attention.head_count", 1))
    size = latent or spec.integer("attention.value_length", spec.n_embd // heads)
    return 8.0 * gpu.sm_count * (FLASH_COLUMNS // 4 if latent else FLASH_COLUMNS) * (2 + size / 2)


def _plain_attention(spec: ModelSpec, config: RunConfig, n: int) -> float:
    """Scores in 16 bits for every head at a full context, and the result of a micro-batch."""
    heads = max(spec.per_layer("attention.head_count", 1))
    value = spec.integer("attention.value_length", spec.n_embd // heads)
    return (
        2.0
        * n
        * heads
        * (padded_context(config.n_ctx) / (1 if config.kv_unified else config.n_seq_max) + value)
    )


def _has_quantized_kernels(gpu: GpuSpec) -> bool:
    """Whether prompts of quantized weights run on int8 (mmq): with dp4a or int8 tensor cores, not
    on Volta."""
    return gpu.int8_ops > 0


def _capability(gpu: GpuSpec) -> tuple[int, ...]:
    return tuple(int(part) for part in gpu.compute_capability.split("."))


def resident_bytes(memory: MemoryEstimate, coefficients: Coefficients) -> int:
    """Resident memory of the process on the host: its base, its weights and caches, and the buffers
    it touches.

    Without a calibration the base is a guess: it is Python's and the libraries', and one machine's
    own. A card adds what CUDA keeps on the host, and its buffers there are pinned: resident whether
    they are touched or not.
    """
    total = coefficients["memory.host_base_bytes"]
    has_card = any(is_card(name) for name in memory.devices)
    if has_card:
        total += coefficients["memory.host_cuda_bytes"]
    touched = 1.0 if has_card else coefficients["memory.host_compute_share"]
    for name, device in memory.devices.items():
        if not is_card(name):
            total += device.weights_bytes * coefficients["memory.host_weights_share"]
            total += device.compute_bytes * touched
            total += device.kv_cache_bytes + device.recurrent_bytes + device.output_bytes
    return round(total)
