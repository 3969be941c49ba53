"""Writes a LoRA adapter of any rank for a model: sparse, for a card that only counts memory."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from oomph.architectures.adapter import AdapterSpec, LoraPair
from oomph.architectures.spec import ModelSpec
from oomph.gguf.ggml_types import QUANTS
from oomph.gguf.header import TensorInfo
from oomph.models.synth import write_synthetic

ATTENTION: Final = ("attn_q", "attn_k", "attn_v", "attn_output")
FEED_FORWARD: Final = ("ffn_gate", "ffn_up", "ffn_down")
EXPERTS: Final = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")


def lora_for(
    model: ModelSpec, rank: int, targets: Collection[str] = ATTENTION, precision: str = "F16"
) -> AdapterSpec:
    """An adapter of that rank for the matrices of `model` that are called so in each layer."""
    quant, pairs = QUANTS[precision], {}
    for name, info in model.tensors.items():
        if name.endswith(".weight") and name.split(".")[-2] in targets:
            more = info.ne[2:]
            pairs[name] = LoraPair(
                a=TensorInfo(
                    name=f"{name}.lora_a", ne=(info.ne[0], rank, *more), quant=quant, offset=0
                ),
                b=TensorInfo(
                    name=f"{name}.lora_b", ne=(rank, info.ne[1], *more), quant=quant, offset=0
                ),
            )
    return AdapterSpec(
        name=f"{model.name}-r{rank}", arch=model.arch, pairs=pairs, source=f"{model.name}-r{rank}"
    )


def write_lora(adapter: AdapterSpec, path: Path | str) -> Path:
    """Write the adapter to `path` as a sparse GGUF file; returns the path."""
    infos = [info for pair in adapter.pairs.values() for info in (pair.a, pair.b)]
    tensors, offset = {}, 0
    for info in infos:
        tensors[info.name] = replace(info, offset=offset)
        offset += -(-info.n_bytes // 32) * 32
    spec = ModelSpec(
        name=adapter.name,
        arch=adapter.arch,
        metadata={
            "general.architecture": adapter.arch,
            "general.type": "adapter",
            "general.name": adapter.name,
            "adapter.type": "lora",
            "adapter.lora.alpha": float(2 * adapter.rank),
        },
        tensors=tensors,
        source=adapter.source,
    )
    return write_synthetic(spec, path)
