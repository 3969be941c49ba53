"""Records as tables: every point, the summary by experts, outcomes, the machine.

A point measured under throttling or beside another process says so in each.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from oomph.config import KNOBS
from oomph.estimate.prediction import Prediction
from oomph.quality.text import References
from oomph.records.grouping import SettingNames, grouped
from oomph.records.schema import Environment, Record
from oomph.records.summary import RecordSummary, by_setting
from oomph.units import MIB, NOT_MEASURED, count, counted, gib, rate
from oomph.views.by_experts import rates_by_experts
from oomph.views.quality_cells import (
    cost_against_reference,
    divergence_cell,
    perplexity_cell,
    ratio_cell,
)
from oomph.views.readings import experts_word, predicted_components, run_words
from oomph.views.table import Cell, Table, number

_FIRST: Final = ("n_ctx", "n_expert_used", "type_k", "type_v", "n_ubatch")
"""The columns that come first; the others follow as RunConfig declares them."""
VARIED_KNOBS: Final = tuple(
    dict.fromkeys((*_FIRST, *(name for name, knob in KNOBS.items() if knob.is_tabled)))
)


def _rate(value: float | None) -> Cell:
    return Cell(rate(value), value)


def varied_knobs(summaries: Sequence[RecordSummary]) -> tuple[str, ...]:
    """The knobs that differ between the records; always n_ctx."""
    differ = [
        name
        for name in VARIED_KNOBS
        if len({_as_asked(summary, name) for summary in summaries}) > 1
    ]
    return tuple(differ) if "n_ctx" in differ else ("n_ctx", *differ)


def _as_asked(summary: RecordSummary, name: str) -> int | str | None:
    """The knob as the sweep set it: a point that failed early has nothing reported; experts as
    llama.cpp took them."""
    value: int | str | None = (
        summary.n_expert_used if name == "n_expert_used" else summary.record.config.get(name)
    )
    return value


def points_table(
    summaries: Sequence[RecordSummary], predictions: Mapping[str, Prediction]
) -> Table:
    """Every point: the knobs that vary, memory in MiB, rates at the shallowest depth, perplexity,
    how it ended."""
    knobs = varied_knobs(summaries)
    limited = any(summary.memory_limit_bytes is not None for summary in summaries)
    columns = (
        *knobs,
        *(("limit MiB",) if limited else ()),
        "buffers MiB",
        "predicted MiB",
        f"peak {_peak_word(summaries)} MiB",
        "prefill t/s",
        "decode t/s",
        "perplexity",
        "outcome",
        "remarks",
        "origin",
    )
    rows = tuple(
        _point_row(summary, knobs, limited, predictions.get(summary.record.record_id))
        for summary in summaries
    )
    return Table(
        caption="Memory in MiB; speeds are medians at the shallowest depth",
        columns=columns,
        rows=rows,
    )


def _peak_word(summaries: Sequence[RecordSummary]) -> str:
    """What the measured peak is of: the cards' memory by NVML, or the worker's resident memory."""
    return "VRAM" if memory_word(summaries) == "VRAM" else "RSS"


def _point_row(
    summary: RecordSummary, knobs: Sequence[str], limited: bool, prediction: Prediction | None
) -> tuple[Cell, ...]:
    parts = summary.components if summary.succeeded else {}
    guess = sum(predicted_components(prediction.memory).values()) if prediction else None
    prefill, decode = summary.rates("pp"), summary.rates("tg")
    return (
        *knob_cells(summary, knobs),
        *((number(summary.memory_limit_bytes, unit=MIB),) if limited else ()),
        number(sum(parts.values()) if parts else None, unit=MIB),
        number(guess, unit=MIB),
        number(summary.peak_bytes, unit=MIB),
        _rate(prefill[0].tokens_per_s if prefill else None),
        _rate(decode[0].tokens_per_s if decode else None),
        perplexity_cell(summary.perplexity),
        Cell(summary.record.outcome.label),
        Cell("; ".join(summary.remarks)),
        Cell(summary.record.origin or ""),
    )


def knob_cells(summary: RecordSummary, knobs: Sequence[str]) -> tuple[Cell, ...]:
    """A cell for each of the knobs, as asked."""
    return tuple(_knob_cell(_as_asked(summary, name)) for name in knobs)


def _knob_cell(value: int | str | None) -> Cell:
    if isinstance(value, int):
        return Cell(count(value), value)
    return Cell(NOT_MEASURED if value is None else value)


def experts_table(summaries: Sequence[RecordSummary]) -> Table:
    """One row for each number of active experts: the range of memory over contexts, speed, quality,
    outcomes."""
    by_experts = grouped(summaries, lambda summary: summary.n_expert_used)
    references = References(summary.record for summary in summaries)
    rows = tuple(
        _experts_row(experts, by_experts[experts], references)
        for experts in sorted(by_experts, key=lambda experts: experts or 0)
    )
    columns = (
        "n_expert_used",
        "memory MiB",
        "prefill t/s",
        "decode t/s",
        "decode t/s at depth",
        "perplexity",
        "ratio to reference",
        "KL divergence, nats",
        "outcomes",
        "remarks",
    )
    return Table(caption="By number of active experts", columns=columns, rows=rows)


def _experts_row(
    experts: int | None, summaries: Sequence[RecordSummary], references: References
) -> tuple[Cell, ...]:
    """The row of one number of experts, of its own points."""
    free = [
        summary for summary in summaries if summary.memory_limit_bytes is None and summary.succeeded
    ]
    totals = sorted(sum(parts.values()) for summary in free if (parts := summary.components))
    prefill, decode = (rates_by_experts(summaries, kind).get(experts, ()) for kind in ("pp", "tg"))
    scored = next((summary for summary in free if summary.perplexity), None)
    found = cost_against_reference(scored.record, references) if scored else None
    return (
        Cell(experts_word(experts), experts),
        _span(totals),
        _rate(prefill[0].tokens_per_s if prefill else None),
        _rate(decode[0].tokens_per_s if decode else None),
        Cell(f"{rate(decode[-1].tokens_per_s)} @ {decode[-1].n_depth:,}", decode[-1].tokens_per_s)
        if decode and decode[-1].n_depth
        else Cell(NOT_MEASURED),
        perplexity_cell(scored.perplexity if scored else None),
        ratio_cell(found),
        divergence_cell(found),
        Cell(outcome_counts(summaries)),
        Cell("; ".join(_merged_remarks(summaries))),
    )


def _span(totals: Sequence[int]) -> Cell:
    """Sorted bytes as `214 to 371` MiB, or as the one figure that they share."""
    if not totals:
        return Cell(NOT_MEASURED)
    ends = dict.fromkeys(f"{n_bytes / MIB:,.0f}" for n_bytes in (totals[0], totals[-1]))
    return Cell(" to ".join(ends), totals[-1])


def outcome_counts(summaries: Iterable[RecordSummary]) -> str:
    """`'5 ok, 2 oom_kv'`: labels with their numbers, successes first."""
    labels = Counter(summary.record.outcome.label for summary in summaries)
    ordered = sorted(labels, key=lambda label: (label != "ok", label))
    return ", ".join(f"{labels[label]} {label}" for label in ordered)


def _merged_remarks(summaries: Iterable[RecordSummary]) -> list[str]:
    said = Counter(remark.partition(" (")[0] for summary in summaries for remark in summary.remarks)
    return [f"{remark}: {counted(said[remark], 'point')}" for remark in sorted(said)]


def outcomes_table(summaries: Sequence[RecordSummary]) -> Table:
    """Every point that did not end well, with llama.cpp's own words and the next step; empty where
    all did."""
    names = SettingNames(by_setting(summaries))
    rows = tuple(
        (
            Cell(
                summary.record.label if "=" in summary.record.label else run_words(summary, names)
            ),
            Cell(summary.record.outcome.label),
            Cell(summary.record.outcome.stage or NOT_MEASURED),
            Cell(_reason(summary)),
            Cell(summary.record.outcome.message or NOT_MEASURED),
            Cell("; ".join(summary.remarks)),
        )
        for summary in summaries
        if not summary.succeeded
    )
    columns = ("point", "outcome", "stage", "what the log says", "what to do", "remarks")
    return Table(caption="Points that did not run to their end", columns=columns, rows=rows)


def _reason(summary: RecordSummary) -> str:
    lines = [line.strip() for line in summary.record.outcome.evidence if line.strip()]
    return lines[0] if lines else NOT_MEASURED


def machine_table(record: Record) -> Table:
    """The machine, the software and the model of a record: what a reader needs to judge and to
    repeat it."""
    environment, model = record.environment, record.model
    facts: list[tuple[str, str | None]] = [
        ("machine", environment.machine),
        ("system", environment.os),
        (
            "CPU",
            f"{environment.cpu}, {environment.cpu_count} cores"
            if environment.cpu_count
            else environment.cpu,
        ),
        ("memory", gib(environment.memory_bytes) if environment.memory_bytes else None),
        ("governor", environment.governor),
        ("backend", _backend(environment)),
        *(("GPU", _gpu(gpu)) for gpu in environment.gpus),
        ("driver", environment.driver),
        ("llama.cpp", environment.llama_cpp_commit),
        ("Python", environment.python),
        (
            "packages",
            ", ".join(
                f"{name} {version}" for name, version in sorted(environment.packages.items())
            ),
        ),
        ("model", model.name),
        ("architecture", model.arch),
        ("file", model.path.replace("\\", "/").rpartition("/")[2]),
        ("file size", f"{model.file_bytes / MIB:,.1f} MiB" if model.file_bytes else None),
        (
            "size of all tensors",
            f"{model.tensor_bytes / MIB:,.1f} MiB" if model.tensor_bytes else None,
        ),
        ("sha256", model.sha256),
        ("sha256 of the header", model.header_sha256),
        ("measured", record.started_at),
        ("origin", f"imported from {record.origin}" if record.origin else None),
    ]
    rows = tuple((Cell(name), Cell(value)) for name, value in facts if value)
    return Table(
        caption="As the last of the points found them", columns=("what", "value"), rows=rows
    )


def _backend(environment: Environment) -> str:
    words = {
        "cpu": "CPU build of llama.cpp: memory is the host's",
        "cuda": "CUDA build of llama.cpp on a real card",
        "phantom": "CUDA build of llama.cpp on the phantom card: memory is real accounting, there "
        "is no speed",
    }
    return words.get(environment.backend, environment.backend)


def _gpu(gpu: Mapping[str, object]) -> str:
    name = str(gpu.get("name", "unnamed"))
    memory = gpu.get("usable_bytes")
    return f"{name}, {gib(memory)}" if isinstance(memory, int) else name


def memory_word(summaries: Sequence[RecordSummary]) -> str:
    """`'VRAM'` where all records have cards, else `'memory'`."""
    return "VRAM" if summaries and all(summary.has_cards for summary in summaries) else "memory"
