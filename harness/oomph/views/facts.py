"""What is known of a model and of a card, as lines, tables and JSON.

Stands apart from `estimates` because nothing here depends on a configuration.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from oomph.architectures.layers import sliding_window
from oomph.architectures.roles import bytes_by_role, bytes_by_type
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.memory import MemoryModel, kv_cache_bytes
from oomph.gguf.ggml_types import KV_CACHE_TYPES
from oomph.gpus import GpuSpec
from oomph.units import MIB, count, gib, mib
from oomph.views.table import Cell, Table, number


def native_context(model: ModelSpec) -> int:
    """Tokens that the model was trained for before its rope was stretched."""
    return model.integer("rope.scaling.original_context_length", model.n_ctx_train)


def yarn_factor(model: ModelSpec) -> float | None:
    """By how much YaRN stretches the context, None where the model does not use it."""
    if model.metadata.get(f"{model.arch}.rope.scaling.type") != "yarn":
        return None
    return float(model.hparam("rope.scaling.factor", 1.0))


def kv_cache_bytes_per_token(model: ModelSpec, *, swa_full: bool = True) -> dict[str, float]:
    """Bytes that one more cell of context takes, by cache type for K and V alike.

    With `swa_full` off, sliding-window layers no longer grow once the window is full: the growth
    beyond it is given.
    """
    memory, per_token = MemoryModel(model), {}
    for kind in KV_CACHE_TYPES:
        near, far = (
            kv_cache_bytes(
                memory.setup(
                    RunConfig(
                        n_ctx=n_ctx, type_k=kind, type_v=kind, flash_attn="on", swa_full=swa_full
                    )
                )
            ).total()
            for n_ctx in (1 << 16, 1 << 17)
        )
        per_token[kind] = (far - near) / (1 << 16)
    return per_token


def inspect_lines(model: ModelSpec) -> Iterator[str]:
    """Name, architecture, experts, context and size, a line each."""
    shape = (
        f"{model.n_layer} layers, embedding {count(model.n_embd)}, vocabulary "
        f"{count(model.n_vocab)}"
    )
    yield f"{model.name}: {model.arch}, {shape}"
    if model.is_moe:
        yield f"experts: {model.n_expert} in a layer, {model.n_expert_used} used for a token"
    factor, native = yarn_factor(model), native_context(model)
    stretched = f" (native {count(native)}, YaRN × {factor:g})" if factor else ""
    yield f"context: {count(model.n_ctx_train)} tokens{stretched}"
    if window := sliding_window(model):
        yield f"sliding window: {count(window)} tokens"
    n_weights = sum(tensor.n_elements for tensor in model.tensors.values())
    n_bytes = model.n_bytes
    yield (
        f"weights: {n_weights / 1e9:.2f} × 10⁹ in {gib(n_bytes)}, "
        f"{8 * n_bytes / max(n_weights, 1):.2f} bits each"
    )
    for note in model.notes:
        yield f"note: {note}"


def roles_table(model: ModelSpec) -> Table:
    """Bytes by what the tensors are for, then by their type."""
    total = sum(bytes_by_role(model).values()) or 1
    rows = [
        (Cell(name), number(n_bytes, digits=2, unit=MIB), number(100 * n_bytes / total, digits=1))
        for part in (bytes_by_role(model), bytes_by_type(model))
        for name, n_bytes in part.items()
    ]
    return Table(caption="Weights by role and by type", columns=("", "MiB", "%"), rows=tuple(rows))


def kv_cache_table(model: ModelSpec) -> Table:
    """Bytes of KV cache per token for each cache type."""
    full = kv_cache_bytes_per_token(model)
    beyond = kv_cache_bytes_per_token(model, swa_full=False) if sliding_window(model) else {}
    rows = tuple(
        (
            Cell(kind),
            number(full[kind]),
            number(full[kind] * 4096, digits=1, unit=MIB),
            number(beyond.get(kind)),
        )
        for kind in KV_CACHE_TYPES
    )
    columns = (
        "type_k = type_v",
        "bytes per token",
        "MiB per 4,096",
        "bytes per token, swa_full off",
    )
    return Table(caption="KV cache", columns=columns, rows=rows)


def model_json(model: ModelSpec) -> dict[str, Any]:
    """What `inspect` says, for programs."""
    return {
        "model": model.name,
        "arch": model.arch,
        "source": model.source,
        "file_bytes": model.file_bytes,
        "n_layer": model.n_layer,
        "n_embd": model.n_embd,
        "n_vocab": model.n_vocab,
        "n_expert": model.n_expert,
        "n_expert_used": model.n_expert_used,
        "n_ctx_train": model.n_ctx_train,
        "n_ctx_native": native_context(model),
        "yarn_factor": yarn_factor(model),
        "bytes_by_role": bytes_by_role(model),
        "bytes_by_type": bytes_by_type(model),
        "kv_cache_bytes_per_token": kv_cache_bytes_per_token(model),
        "notes": list(model.notes),
    }


def gpus_table(specs: Sequence[GpuSpec]) -> Table:
    """Cards, a row each."""
    rows = tuple(
        (
            Cell(spec.name),
            Cell(f"{spec.generation} {spec.compute_capability}"),
            number(spec.memory_bytes, unit=MIB),
            number(spec.bandwidth_bytes_per_s, unit=1e9),
            number(spec.fp16_flops, unit=1e12),
            number(spec.int8_ops, unit=1e12),
            number(spec.power_limit_w),
        )
        for spec in specs
    )
    columns = ("card", "generation", "MiB", "GB/s", "FP16 TFLOPS", "INT8 TOPS", "W")
    return Table(caption="NVIDIA cards", columns=columns, rows=rows)


def gpu_lines(spec: GpuSpec) -> Iterator[str]:
    """One card with the sources of its figures."""
    yield f"{spec.name}: {spec.generation}, compute capability {spec.compute_capability}"
    yield f"usable memory: {mib(spec.memory_bytes)}"
    yield f"bandwidth: {spec.bandwidth_bytes_per_s / 1e9:,.0f} GB/s"
    yield (
        f"dense peaks: {spec.fp16_flops / 1e12:,.0f} TFLOPS FP16, {spec.int8_ops / 1e12:,.0f} "
        "TOPS INT8"
    )
    yield f"{spec.sm_count} SMs at {spec.clock_ghz:g} GHz, {spec.power_limit_w:g} W"
    yield f"source: {spec.source}"
