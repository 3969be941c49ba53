"""The catalogue's model that a public table's row is of, and its work at the told file size.

Stands apart from which rows are kept: tables spell models and mixes of quantizations in many ways,
and unsloth's "UD" mixes are no plain quantization of the same letters.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.errors import UnknownNameError
from oomph.estimate.work import Work

Row = Mapping[str, Any]

_MODELS: Final = (
    ("llama 1B", "llama-3.2-1b"), ("llama 3B", "llama-3.2-3b"), ("llama 7B", "llama-2-7b"),
    ("llama 8B", "llama-3.1-8b"), ("llama 13B", "llama-2-13b"), ("llama 70B", "llama-3.3-70b"),
    ("qwen2 0.5B", "qwen2.5-0.5b"), ("qwen2 1.5B", "qwen2.5-1.5b"), ("qwen2 3B", "qwen2.5-3b"),
    ("qwen2 7B", "qwen2.5-7b"), ("qwen2 14B", "qwen2.5-14b"), ("qwen2 32B", "qwen2.5-32b"),
    ("qwen2 70B", "qwen2.5-72b"), ("qwen3 0.6B", "qwen3-0.6b"), ("qwen3 1.7B", "qwen3-1.7b"),
    ("qwen3 4B", "qwen3-4b"),
    ("qwen3 8B", "qwen3-8b"), ("qwen3 14B", "qwen3-14b"), ("qwen3 32B", "qwen3-32b"),
    ("qwen3moe 30B", "qwen3-30b-a3b"), ("qwen3moe Qwen3 30B", "qwen3-30b-a3b"), ("qwen3moe 235B",
    "qwen3-235b-a22b"),
    ("qwen3next 80B", "qwen3-next-80b-a3b"), ("qwen35moe 35B", "qwen3.5-35b-a3b"), ("qwen35 27B",
    "qwen3.5-27b"),
    ("gpt-oss 20B", "gpt-oss-20b"), ("gpt-oss 120B", "gpt-oss-120b"), ("gemma3 1B", "gemma-3-1b"),
    ("gemma3 4B", "gemma-3-4b"), ("gemma3 12B", "gemma-3-12b"), ("gemma3 27B", "gemma-3-27b"),
    ("gemma2 2B", "gemma-2-2b"), ("gemma2 9B", "gemma-2-9b"), ("gemma2 27B", "gemma-2-27b"),
    ("phi3 3B", "phi-3-mini"), ("phi3 14B", "phi-4"), ("deepseek2 16B", "deepseek-v2-lite"),
    ("deepseek2 30B.A3B", "glm-4.7-flash"), ("deepseek2 671B", "deepseek-v3"), ("glm4 32B",
    "glm-4-32b-0414"),
    ("glm4 GLM Z1 32B", "glm-4-32b-0414"), ("glm4moe 106B.A12B", "glm-4.5-air"), ("olmoe A1.7B",
    "olmoe-1b-7b"),
)  # fmt: skip
"""llama-bench's model label, to the catalogue's name."""
_MISTRAL_NEMO_PARAMS_B: Final = 12.25
"""llama-bench calls Mistral Nemo "llama 13B"."""

_NEIGHBOURS: Final = (
    ("Q8_K_XL", "Q8_0"),
    ("Q6_K", "Q6_K"),
    ("Q5_K", "Q5_K_M"),
    ("Q4_K", "Q4_K_M"),
    ("Q3_K", "Q3_K_M"),
    ("Q2_K", "Q2_K"),
    ("IQ2_XXS", "IQ2_XS"),
    ("IQ2_M", "IQ2_M"),
    ("IQ3_XXS", "IQ3_XXS"),
    ("IQ3_S", "IQ3_S"),
    ("IQ4_XS", "IQ4_XS"),
    ("IQ4_NL", "IQ4_NL"),
    ("MXFP4", "MXFP4"),
    ("NVFP4", "MXFP4"),
)
"""The plain quantization whose kernels a mix that llama-quantize has no name for is made of."""


def row_model(row: Row, models: dict[tuple[object, ...], ModelSpec]) -> ModelSpec:
    """The model of a row, built once for each spelling; UnknownNameError where the catalogue has
    none."""
    key = (row["model"], row.get("catalogue_model"), row.get("quant"))
    if key not in models:
        name = row.get("catalogue_model") or _labelled(row)
        models[key] = catalogue_model(name, row_quantization(row, name))
    return models[key]


def _labelled(row: Row) -> str:
    label = str(row["model"])
    name = next(
        (name for prefix, name in _MODELS if label.startswith((prefix + " ", prefix + "."))), ""
    )
    if not name:
        raise UnknownNameError(f"{label!r} is no model of the catalogue")
    if name == "llama-2-13b" and row["params_b"] == _MISTRAL_NEMO_PARAMS_B:
        return "mistral-nemo"
    return name


def row_quantization(row: Row, name: str) -> str:
    """llama-quantize's name for the row's file, or of what is nearest to it."""
    if name.startswith("gpt-oss"):
        return "MXFP4"
    if not row.get("catalogue_model"):
        return quantization(str(row["model"]))
    told = str(row["quant"])
    return neighbour(told) if is_a_mix(told) else told


def is_a_mix(told: str) -> bool:
    """Whether a file's quantization is one that llama-quantize has no name for."""
    return told.startswith(("UD-", "NVFP4")) or told.endswith(("_XL", "_L", "_MOE"))


def neighbour(told: str) -> str:
    """The plain quantization next to a mix: `neighbour("UD-Q4_K_XL")` is `"Q4_K_M"`."""
    bare = told.removeprefix("UD-")
    for prefix, plain in _NEIGHBOURS:
        if bare.startswith(prefix):
            return plain
    raise UnknownNameError(f"{told!r} names no quantization")


def quantization(label: str) -> str:
    """llama-quantize's name in a llama-bench label: `"llama 8B Q4_K - Medium"` has `"Q4_K_M"`."""
    text = label.replace(" - Medium", "_M").replace(" - Small", "_S").replace(" - Large", "_L")
    found = re.search(r"\b(MXFP4|BF16|F16|F32|IQ\d_[A-Z]+|Q\d_[01K](?:_[SML])?)\b", text)
    if not found:
        raise UnknownNameError(f"{label!r} names no quantization")
    return "MXFP4" if label.startswith("gpt-oss") else found[1]


def work_at_size(work: Work, share: float) -> Work:
    """The same products with `share` of the bytes: a file of another mix of the same kinds."""
    return replace(
        work,
        dense_bytes={kind: n * share for kind, n in work.dense_bytes.items()},
        head_bytes={kind: n * share for kind, n in work.head_bytes.items()},
        expert_bytes={kind: n * share for kind, n in work.expert_bytes.items()},
    )
