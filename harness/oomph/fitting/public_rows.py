"""Public llama-bench tables as observations, cleaned.

Stands apart because it judges foreign text. A row is kept when one mainline llama.cpp build ran one whole model on
one whole card; the reason for each other row is counted. The rows stay where they are: only what is learned from
them enters the project.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from oomph.errors import FitError, UnknownNameError
from oomph.estimate.build import build_year
from oomph.estimate.card import card_facts
from oomph.estimate.speed import speed_question
from oomph.facts.catalogue import catalogue_model
from oomph.facts.config import RunConfig
from oomph.facts.gpus import GpuSpec, gpu
from oomph.facts.modelspec import ModelSpec
from oomph.fitting.observations import SpeedObservation

Row = Mapping[str, Any]

_MODELS: Final = (
    ("llama 1B", "llama-3.2-1b"), ("llama 3B", "llama-3.2-3b"), ("llama 7B", "llama-2-7b"),
    ("llama 8B", "llama-3.1-8b"), ("llama 13B", "llama-2-13b"), ("llama 70B", "llama-3.3-70b"),
    ("qwen2 0.5B", "qwen2.5-0.5b"), ("qwen2 1.5B", "qwen2.5-1.5b"), ("qwen2 3B", "qwen2.5-3b"),
    ("qwen2 7B", "qwen2.5-7b"), ("qwen2 14B", "qwen2.5-14b"), ("qwen2 32B", "qwen2.5-32b"),
    ("qwen2 70B", "qwen2.5-72b"), ("qwen3 0.6B", "qwen3-0.6b"), ("qwen3 1.7B", "qwen3-1.7b"), ("qwen3 4B", "qwen3-4b"),
    ("qwen3 8B", "qwen3-8b"), ("qwen3 14B", "qwen3-14b"), ("qwen3 32B", "qwen3-32b"),
    ("qwen3moe 30B", "qwen3-30b-a3b"), ("qwen3moe Qwen3 30B", "qwen3-30b-a3b"), ("qwen3moe 235B", "qwen3-235b-a22b"),
    ("qwen3next 80B", "qwen3-next-80b-a3b"), ("qwen35moe 35B", "qwen3.5-35b-a3b"), ("qwen35 27B", "qwen3.5-27b"),
    ("gpt-oss 20B", "gpt-oss-20b"), ("gpt-oss 120B", "gpt-oss-120b"), ("gemma3 1B", "gemma-3-1b"),
    ("gemma3 4B", "gemma-3-4b"), ("gemma3 12B", "gemma-3-12b"), ("gemma3 27B", "gemma-3-27b"),
    ("gemma2 2B", "gemma-2-2b"), ("gemma2 9B", "gemma-2-9b"), ("gemma2 27B", "gemma-2-27b"),
    ("phi3 3B", "phi-3-mini"), ("phi3 14B", "phi-4"), ("deepseek2 16B", "deepseek-v2-lite"),
    ("deepseek2 30B.A3B", "glm-4.7-flash"), ("deepseek2 671B", "deepseek-v3"), ("glm4 32B", "glm-4-32b-0414"),
    ("glm4 GLM Z1 32B", "glm-4-32b-0414"), ("glm4moe 106B.A12B", "glm-4.5-air"), ("olmoe A1.7B", "olmoe-1b-7b"),
)  # fmt: skip
"""llama-bench's model label, to the catalogue's name."""
_MISTRAL_NEMO_PARAMS_B: Final = 12.25
"""llama-bench calls Mistral Nemo "llama 13B"."""

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FLASH_DEFAULT_YEAR: Final = 2025.66
"""llama.cpp turns flash attention on by itself since September 2025 (PR 15434)."""
UNKNOWN_YEAR: Final = 2025.8
_CLUSTER_POWER: Final = -0.6
"""A row weighs n^-0.6 in a cluster of n rows: one machine's sweep of 36 depths is not 36 facts."""
_NOISY_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicRows:
    """What a folder of rows gave: observations, and how many rows were left out for which reason."""

    observations: tuple[SpeedObservation, ...]
    left_out: Mapping[str, int]
    n_rows: int


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; FitError where it is missing or a line is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]
    except (OSError, json.JSONDecodeError) as error:
        raise FitError(f"{path}: cannot be read as JSON lines ({error}); give a folder with such a file") from None


def public_observations(path: Path, *, dated: bool = True) -> PublicRows:
    """The comparable rows of a speed table; `dated` False forgets build dates, as a question without one does."""
    rows = read_rows(path)
    models: dict[str, ModelSpec] = {}
    kept: list[SpeedObservation] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        reason = _reason_against(row)
        if reason is None:
            try:
                kept.append(_observation(row, models, dated=dated))
                continue
            except UnknownNameError:
                reason = "model, quantisation or card in no catalogue"
        left_out[reason] += 1
    return PublicRows(observations=tuple(_weighted(kept)), left_out=dict(left_out.most_common()), n_rows=len(rows))


def _notes(row: Row) -> str:
    return str(row.get("notes") or "")


_REASONS: Final[tuple[tuple[str, Callable[[Row], bool]], ...]] = (
    ("measured end to end by another program", lambda r: "llmfit" in str(r["test"])),
    ("not CUDA", lambda r: r["backend"] != "CUDA"),
    ("a fork or a branch of llama.cpp", lambda r: r["engine"] != "llama.cpp"),
    ("several cards", lambda r: r["gpu_count"] != 1),
    ("tensors on the host", lambda r: bool(r["tensor_overrides"] or r["n_cpu_moe"] or "rest on the host" in _notes(r))),
    ("layers on the host", lambda r: r["ngl"] is not None and r["ngl"] < 99),
    ("other active experts", lambda r: bool(r["n_expert_used"])),
    ("larger than the card", lambda r: "UNIFIED_MEMORY" in _notes(r) or _larger_than_card(r)),
    ("prompt and generation timed together", lambda r: "+tg" in r["test"] or bool(r["n_prompt"] and r["n_gen"])),
    ("length unknown or timed through a server", lambda r: "unspecified" in r["test"] or "after a" in r["test"]
     or not (r["n_prompt"] or r["n_gen"])),
    ("power-capped", lambda r: bool(r["power_limit_w"])),
    ("doubted by its author", lambda r: "prompt speed far below" in _notes(r) and bool(r["n_prompt"])),
    ("standard deviation above 15 %", lambda r: (r.get("stddev") or 0) > _NOISY_SHARE * r["tokens_per_s"]),
    ("kernel fusion switched off", lambda r: "DISABLE_FUSION=1" in _notes(r)),
)  # fmt: skip


def _reason_against(row: Row) -> str | None:
    """Why a row cannot be compared; None if it can."""
    return next((reason for reason, holds in _REASONS if holds(row)), None)


def _larger_than_card(row: Row) -> bool:
    try:
        return (row["size_gib"] or 0) * 2**30 > resolved_gpu(str(row["gpu"])).memory_bytes
    except UnknownNameError:
        return False


def resolved_gpu(name: str) -> GpuSpec:
    """The catalogue's card; "80 GB" of H100 and A100 without a form factor is read as SXM."""
    return gpu({"NVIDIA H100 80 GB": "H100 SXM", "NVIDIA A100 80 GB": "A100 SXM"}.get(name, name))


def _observation(row: Row, models: dict[str, ModelSpec], *, dated: bool) -> SpeedObservation:
    card, spec = resolved_gpu(row["gpu"]), _model(row, models)
    year = row_year(row["date"], row["build"])
    flash = row["flash_attn"] in (1, "1", "on", True, "True") if row["flash_attn"] is not None else (
        year >= FLASH_DEFAULT_YEAR
    )  # fmt: skip
    n_prompt, n_gen, before = row["n_prompt"] or 0, row["n_gen"] or 0, row["n_depth"] or 0
    config = RunConfig(
        n_ctx=before + n_prompt + n_gen, n_ubatch=row["n_ubatch"] or 512, n_batch=max(row["n_batch"] or 2048, 512),
        flash_attn="on" if flash else "off", type_k=str(row["type_k"] or "f16"), type_v=str(row["type_v"] or "f16"),
    )  # fmt: skip
    return SpeedObservation(
        question=speed_question(spec, card, config, year if dated else None),
        test="decode" if n_gen else "prefill", n_prompt=n_prompt, n_depth=before + n_gen / 2,
        tokens_per_s=row["tokens_per_s"], card=card_facts(card).name, model=spec.source, source=row["source_url"],
        label=f"{row['test']} {row['n_ubatch']} {row['date']}",
    )  # fmt: skip


def _model(row: Row, models: dict[str, ModelSpec]) -> ModelSpec:
    """The catalogue's model of a row, built once for each label."""
    label = str(row["model"])
    if label not in models:
        name = next((name for prefix, name in _MODELS if label.startswith((prefix + " ", prefix + "."))), "")
        if not name:
            raise UnknownNameError(f"{label!r} is no model of the catalogue")
        if name == "llama-2-13b" and row["params_b"] == _MISTRAL_NEMO_PARAMS_B:
            name = "mistral-nemo"
        models[label] = catalogue_model(name, quantisation(label))
    return models[label]


def quantisation(label: str) -> str:
    """llama-quantize's name in a llama-bench label: `"llama 8B Q4_K - Medium"` has `"Q4_K_M"`."""
    text = label.replace(" - Medium", "_M").replace(" - Small", "_S").replace(" - Large", "_L")
    found = re.search(r"\b(MXFP4|BF16|F16|F32|IQ\d_[A-Z]+|Q\d_[01K](?:_[SML])?)\b", text)
    if not found:
        raise UnknownNameError(f"{label!r} names no quantisation")
    return "MXFP4" if label.startswith("gpt-oss") else found[1]


def row_year(date: object, build: object) -> float:
    """When a build was made, as a year, from a date of any spelling or its number; `UNKNOWN_YEAR` for neither."""
    text = str(date or "")
    if "collected" in text:
        return 2025.75
    if found := re.search(r"(20\d\d)-(\d\d)(?:-(\d\d))?", text):
        return int(found[1]) + (int(found[2]) - 1 + (int(found[3] or 15) - 1) / 31) / 12
    if found := re.search(r"([A-Z][a-z]{2}) +(\d+) .*(20\d\d)", text):
        return int(found[3]) + (_MONTHS.index(found[1].lower()) + (int(found[2]) - 1) / 31) / 12
    number = str(build or text).lstrip("b")
    if number.isdigit() and 1000 < int(number) < 20000:
        return build_year(int(number))
    return 1970 + float(text) / 31556952 if re.fullmatch(r"1[67]\d{8}(\.0)?", text) else UNKNOWN_YEAR


def _weighted(observations: Sequence[SpeedObservation]) -> Iterator[SpeedObservation]:
    """Each observation with the weight that its cluster (card, source, model, test, settings) leaves it."""

    def cluster(o: SpeedObservation) -> tuple[object, ...]:
        return o.card, o.source, o.model, o.test, o.question.flash, round(o.question.builds[0][0], 2)

    sizes = Counter(cluster(o) for o in observations)
    for o in observations:
        yield replace(o, weight=sizes[cluster(o)] ** _CLUSTER_POWER)
