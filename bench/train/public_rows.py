"""Public tables of speeds (llama-bench, llama-server) as observations, cleaned.

Stands apart because it judges foreign text. A row is kept when one mainline llama.cpp build ran one
whole model on one whole card; the reason for each other row is counted. The rows stay where they
are: only what is learned from them enters the project.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.train.row_models import is_a_mix, row_model, work_at_size

from oomph.architectures.spec import ModelSpec
from oomph.calibrate.observations import SpeedObservation
from oomph.config import RunConfig
from oomph.errors import ConfigError, FitError, UnknownNameError
from oomph.estimate.build import build_year
from oomph.estimate.machine import Machine
from oomph.estimate.speed import speed_question
from oomph.gpus import GpuSpec, gpu

Row = Mapping[str, Any]

_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
FLASH_DEFAULT_YEAR: Final = 2025.66
"""llama.cpp turns flash attention on by itself since September 2025 (PR 15434)."""
UNKNOWN_YEAR: Final = 2025.8
BENCH_FLASH_BUILD: Final = 9700
"""llama-bench has flash attention on by itself since about this build, half a year after
llama-server."""
_MOST_LAYERS: Final = 48
_BULK_DATES: Final = frozenset({"2026-08-11"})
"""Days on which many rows were entered at once, measured before."""
_DOUBTED_WEIGHT: Final = 0.3
_CLUSTER_POWER: Final = -0.6
"""A row weighs n^-0.6 in a cluster of n rows: one machine's sweep of 36 depths is not 36 facts."""
_NOISY_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicRows:
    """What a folder of rows gave: observations, and how many rows were left out for which
    reason."""

    observations: tuple[SpeedObservation, ...]
    left_out: Mapping[str, int]
    n_rows: int


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one per line; FitError where it is missing or a line is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]
    except (OSError, json.JSONDecodeError) as error:
        raise FitError(
            f"{path}: cannot be read as JSON lines ({error}); give a folder with such a file"
        ) from None


def public_observations(*paths: Path) -> PublicRows:
    """The comparable rows of speed tables."""
    rows = [row for path in paths for row in read_rows(path)]
    models: dict[tuple[object, ...], ModelSpec] = {}
    kept: list[SpeedObservation] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        reason = _reason_against(row)
        if reason is None:
            try:
                kept.append(_observation(row, models))
                continue
            except UnknownNameError:
                reason = "model, quantization or card in no catalogue"
            except ConfigError:
                reason = "larger than the card"
        left_out[reason] += 1
    return PublicRows(
        observations=tuple(_weighted(kept)), left_out=dict(left_out.most_common()), n_rows=len(rows)
    )


def _notes(row: Row) -> str:
    return str(row.get("notes") or "")


_SPOILT: Final = re.compile(
    "another mix than|engine other|larger than the card|several cards|two cards|four "
    "cards|end-to-end|not settled|"
    "totals over|also labelled|custom|source says|unlocked|slower at depth|average of whole|spilled"
)
"""What a table's keeper notes of a row that then says nothing of one card, model and length."""
_SPOILT_DECODE: Final = re.compile(
    "depth of its decode test is unclear|context length stands for the depth"
)
_SPOILT_PREFILL: Final = re.compile(
    "lengths look like|prompt length not told|lengths not told|short prompt"
)


def _is_spoilt(row: Row) -> bool:
    why = str(row.get("quality_reason") or "")
    own = _SPOILT_DECODE if row["n_gen"] else _SPOILT_PREFILL
    return bool(_SPOILT.search(why) or own.search(why))


def _layers_on_host(row: Row) -> bool:
    """Fewer layers than any model has, but for tables that tell the number of the model's own."""
    return row["ngl"] is not None and row["ngl"] < (
        _MOST_LAYERS if row.get("catalogue_model") else 99
    )


_REASONS: Final[tuple[tuple[str, Callable[[Row], bool]], ...]] = (
    ("measured end to end by another program", lambda r: "llmfit" in str(r["test"])),
    ("not CUDA", lambda r: r["backend"] != "CUDA"),
    ("a fork or a branch of llama.cpp", lambda r: r["engine"] != "llama.cpp"),
    ("several cards", lambda r: r["gpu_count"] != 1),
    (
        "contradicts itself, or says too little",
        lambda r: r.get("quality") == "suspect" or _is_spoilt(r),
    ),
    ("speculative decoding", lambda r: bool(r.get("spec_type"))),
    ("several sequences", lambda r: (r.get("n_parallel") or 1) > 1),
    (
        "tensors on a host of unknown memory",
        lambda r: (
            "rest on the host" in _notes(r)
            or (bool(r["tensor_overrides"] or r["n_cpu_moe"]) and told_ram(_notes(r)) is None)
        ),
    ),
    ("layers on the host", _layers_on_host),
    ("other active experts", lambda r: bool(r["n_expert_used"]) and r["tool"] != "oomph"),
    ("larger than the card", lambda r: "UNIFIED_MEMORY" in _notes(r) or _larger_than_card(r)),
    (
        "prompt and generation timed together",
        lambda r: "+tg" in r["test"] or bool(r["n_prompt"] and r["n_gen"]),
    ),
    (
        "length unknown or timed through a server",
        lambda r: (
            "unspecified" in r["test"]
            or "after a" in r["test"]
            or not (r["n_prompt"] or r["n_gen"])
        ),
    ),
    (
        "doubted by its author",
        lambda r: "prompt speed far below" in _notes(r) and bool(r["n_prompt"]),
    ),
    (
        "standard deviation above 15 %",
        lambda r: (r.get("stddev") or 0) > _NOISY_SHARE * r["tokens_per_s"],
    ),
    ("kernel fusion switched off", lambda r: "DISABLE_FUSION=1" in _notes(r)),
)


def _reason_against(row: Row) -> str | None:
    """Why a row cannot be compared; None if it can."""
    return next((reason for reason, holds in _REASONS if holds(row)), None)


def _larger_than_card(row: Row) -> bool:
    try:
        held = row["n_cpu_moe"] or row["tensor_overrides"]
        return (
            not held and (row["size_gib"] or 0) * 2**30 > resolved_gpu(str(row["gpu"])).memory_bytes
        )
    except UnknownNameError:
        return False


def resolved_gpu(name: str) -> GpuSpec:
    """The catalogue's card; "80 GB" of H100 and A100 without a form factor is read as SXM."""
    return gpu({"NVIDIA H100 80 GB": "H100 SXM", "NVIDIA A100 80 GB": "A100 SXM"}.get(name, name))


def _observation(row: Row, models: dict[tuple[object, ...], ModelSpec]) -> SpeedObservation:
    card, spec = resolved_gpu(row["gpu"]), row_model(row, models)
    year = row_year(row["date"], row["build"], row.get("build_est"))
    machine = Machine(
        power_limit_w=row["power_limit_w"],
        system=_system(row),
        host_bandwidth_bytes_per_s=told_ram(_notes(row)),
    )
    n_prompt, n_gen, before = row["n_prompt"] or 0, row["n_gen"] or 0, row["n_depth"] or 0
    n_batch = max(row["n_batch"] or 2048, 512)
    config = RunConfig(
        n_ctx=before + n_prompt + n_gen,
        n_ubatch=min(row["n_ubatch"] or 512, n_batch),
        n_batch=n_batch,
        flash_attn="on" if _flash(row, year) else "off",
        type_k=str(row["type_k"] or "f16"),
        type_v=str(row["type_v"] or "f16"),
        swa_full=bool(row.get("swa_full")),
        n_expert_used=row["n_expert_used"],
        n_cpu_moe=min(row["n_cpu_moe"] or 0, spec.n_layer),
        override_tensor=row["tensor_overrides"],
    )
    question = speed_question(spec, card, config, year, machine=machine)
    n_bytes = row["size_gib"] * 2**30 if row["size_gib"] else spec_bytes(spec)
    if n_bytes > card.memory_bytes and question.on_host.is_idle:
        raise ConfigError(f"{spec.source} is larger than {card.name}")
    if is_a_mix(str(row.get("quant"))) and row["size_gib"] and not question.is_moe:
        share = n_bytes / spec_bytes(spec)
        question = replace(question, on_card=work_at_size(question.on_card, share))
    return SpeedObservation(
        question=question,
        test="decode" if n_gen else "prefill",
        n_prompt=n_prompt,
        n_depth=before + n_gen / 2,
        tokens_per_s=row["tokens_per_s"],
        card=card.name,
        model=spec.source,
        source=row.get("submitter") or row["source_url"],
        weight=_DOUBTED_WEIGHT if _is_doubted(row) else 1.0,
        is_doubted=_is_doubted(row),
        is_sampled=row.get("tool") == "llama-server",
        label=f"{row['test']} {row['n_ubatch']} {row['date']} {row.get('quant')} "
        f"{row['power_limit_w']}",
    )


def spec_bytes(spec: ModelSpec) -> int:
    """Bytes of the tensors in the file."""
    return sum(tensor.n_bytes for tensor in spec.tensors.values())


def _system(row: Row) -> str:
    """The operating system of a row; Linux where none is told, as of most."""
    told = str(row.get("os") or "")
    return "windows" if told.startswith("Windows") else "linux"


def _flash(row: Row, year: float) -> bool:
    """Whether a row ran with flash attention; where none is told, llama.cpp's default of its tool
    and day."""
    if row["flash_attn"] is not None:
        return row["flash_attn"] in (1, "1", "on", True, "True")
    if row.get("tool") == "llama-bench" and row.get("build_est"):
        return bool(row["build_est"] >= BENCH_FLASH_BUILD)
    return year >= FLASH_DEFAULT_YEAR


def told_ram(notes: str) -> float | None:
    """Bytes per second of the RAM that notes name as DDR4-3000: a desktop's two channels of 8
    bytes; else None."""
    found = re.search(r"\bDDR[345]-(\d{4})\b", notes)
    return int(found[1]) * 1e6 * 16 if found else None


def _is_doubted(row: Row) -> bool:
    """Whether a row's keeper doubts something, or its build is a guess."""
    return row.get("quality") == "noisy" or row["date"] in _BULK_DATES


def row_year(date: object, build: object, estimated: int | None = None) -> float:
    """When a build was made, as a year, from a date of any spelling or its number; `UNKNOWN_YEAR`
    for neither.

    `estimated` is the number of the build as a table's keeper has it, and goes first.
    """
    if estimated:
        return build_year(estimated)
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
    return (
        1970 + float(text) / 31556952 if re.fullmatch(r"1[67]\d{8}(\.0)?", text) else UNKNOWN_YEAR
    )


def _weighted(observations: Sequence[SpeedObservation]) -> Iterator[SpeedObservation]:
    """Each observation with the weight that its cluster (card, source, model, test, settings)
    leaves it."""

    def cluster(o: SpeedObservation) -> tuple[object, ...]:
        return (
            o.card,
            o.source,
            o.model,
            o.test,
            o.question.flash,
            round(o.question.build_year, 2),
            o.label.rpartition(" ")[2],
        )

    sizes = Counter(cluster(o) for o in observations)
    for o in observations:
        yield replace(o, weight=o.weight * sizes[cluster(o)] ** _CLUSTER_POWER)
