"""What other tools answer when asked for a model's VRAM, each by its published formula, in MiB.

Stands apart from `memory`, which holds them against what was allocated: here is only what they say.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.units import MIB

CACHE_BITS: Final = {"f16": 16, "bf16": 16, "q8_0": 8, "q4_0": 4}
"""How text-generation-webui and NyxKrage's calculator count a cache type; they have no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a formula is asked: the file's size, the shape, the knobs; and the exact cache, which
    only one takes."""

    file_mib: float
    cache_mib: float
    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    n_ctx: int
    cache_bits: int
    gpu_layers: int


def question(
    model: ModelSpec, config: RunConfig, *, file_bytes: float, cache_bytes: float
) -> Question:
    """The question for a model and its configuration; a mixed cache counts as the type of its
    keys."""
    all_layers = model.n_layer + 1
    return Question(
        file_mib=file_bytes / MIB,
        cache_mib=cache_bytes / MIB,
        n_layer=model.n_layer,
        n_embd=model.n_embd,
        n_head=max(model.per_layer("attention.head_count", 1)),
        n_head_kv=max(model.per_layer("attention.head_count_kv", 1)),
        n_ctx=config.n_ctx,
        cache_bits=CACHE_BITS.get(config.type_k, 16),
        gpu_layers=all_layers if config.n_gpu_layers < 0 else min(config.n_gpu_layers, all_layers),
    )


def file_and_cache(q: Question) -> float:
    """The file's size plus the cache as llama.cpp allocates it."""
    return q.file_mib + q.cache_mib


def textgen(q: Question) -> float:
    """text-generation-webui's regression over 19,517 loads
    (oobabooga.github.io/blog/posts/gguf-vram-formula)."""
    layer = q.file_mib / q.n_layer - 17.99552795246051
    layer += 3.148552680382576e-05 * q.n_head_kv * q.cache_bits * q.n_ctx
    floor = math.floor(50.77817218646521 * q.n_embd / q.n_ctx)
    more = max(0.9690636483914102, q.cache_bits - (floor + 9.987899908205632))
    return layer * (min(q.gpu_layers, q.n_layer) + more) + 1516.522943869404


def ollama(q: Question) -> float:
    """Ollama's PredictServerVRAM: the file and an F16 cache of heads n_embd / n_head wide
    (llm/llama_server.go)."""
    return q.file_mib + 2 * q.n_layer * q.n_head_kv * (q.n_embd / q.n_head) * q.n_ctx * 2 / MIB


def nyxkrage(q: Question) -> float:
    """NyxKrage's LLM-Model-VRAM-Calculator at batch 512: file, cache, and a compute buffer by heads
    and context."""
    cache = 2 * q.n_embd / (q.n_head / q.n_head_kv) * q.n_layer * q.n_ctx * q.cache_bits / 8
    return q.file_mib + cache / MIB + (q.n_ctx / 1024 * 2 + 0.75) * q.n_head


FORMULAS: Final[Mapping[str, Callable[[Question], float]]] = {
    "file size + exact cache": file_and_cache,
    "text-generation-webui": textgen,
    "Ollama": ollama,
    "NyxKrage": nyxkrage,
}
