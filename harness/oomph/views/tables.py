"""Records as tables: every point, the summary by experts, outcomes, the machine.

A point measured under throttling or beside another process says so in each.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from oomph.config import KNOBS
from oomph.estimate.prediction import Prediction
from oomph.records.disturbance import remarks
from oomph.records.grouping import by_setting
from oomph.records.perplexity import perplexity
from oomph.records.schema import Environment, Record
from oomph.units import MIB, NOT_MEASURED, count, gib, rate
from oomph.views.by_experts import rates_by_experts
from oomph.views.quality_cells import (
    cost_against_reference,
    divergence_cell,
    perplexity_cell,
    ratio_cell,
)
from oomph.views.readings import (
    experts_word,
    has_cards,
    measured_components,
    memory_limit_bytes,
    n_expert_used,
    peak_bytes,
    predicted_components,
    rates,
    run_words,
    succeeded,
)
from oomph.views.table import Cell, Table, number

_FIRST: Final = ("n_ctx", "n_expert_used", "type_k", "type_v", "n_ubatch")
"""The columns that come first; the others follow as RunConfig declares them."""
VARIED_KNOBS: Final = tuple(
    dict.fromkeys((*_FIRST, *(name for name, knob in KNOBS.items() if knob.is_tabled)))
)


def _rate(value: float | None) -> Cell:
    return Cell(rate(value), value)


def varied_knobs(records: Sequence[Record]) -> tuple[str, ...]:
    """The knobs that differ between the records; always n_ctx."""
    differ = [
        name for name in VARIED_KNOBS if len({_as_asked(record, name) for record in records}) > 1
    ]
    return tuple(differ) if "n_ctx" in differ else ("n_ctx", *differ)


def _as_asked(record: Record, name: str) -> int | str | None:
    """The knob as the sweep set it: a point that failed early has nothing reported; experts as
    llama.cpp took them."""
    value: int | str | None = (
        n_expert_used(record) if name == "n_expert_used" else record.config.get(name)
    )
    return value


def points_table(records: Sequence[Record], predictions: Mapping[str, Prediction]) -> Table:
    """Every point: the knobs that vary, memory in MiB, rates at the shallowest depth, perplexity,
    how it ended."""
    knobs = varied_knobs(records)
    limited = any(memory_limit_bytes(record) is not None for record in records)
    columns = (
        *knobs,
        *(("limit MiB",) if limited else ()),
        "buffers MiB",
        "predicted MiB",
        f"peak {_peak_word(records)} MiB",
        "prefill t/s",
        "decode t/s",
        "perplexity",
        "outcome",
        "remarks",
        "origin",
    )
    rows = tuple(
        _point_row(record, knobs, limited, predictions.get(record.record_id)) for record in records
    )
    return Table(
        caption="Memory in MiB; speeds are medians at the shallowest depth",
        columns=columns,
        rows=rows,
    )


def _peak_word(records: Sequence[Record]) -> str:
    """What the measured peak is of: the cards' memory by NVML, or the worker's resident memory."""
    return "VRAM" if memory_word(records) == "VRAM" else "RSS"


def _point_row(
    record: Record, knobs: Sequence[str], limited: bool, prediction: Prediction | None
) -> tuple[Cell, ...]:
    parts = measured_components(record) if succeeded(record) else {}
    guess = sum(predicted_components(prediction.memory).values()) if prediction else None
    prefill, decode = rates(record, "pp"), rates(record, "tg")
    return (
        *knob_cells(record, knobs),
        *((number(memory_limit_bytes(record), unit=MIB),) if limited else ()),
        number(sum(parts.values()) if parts else None, unit=MIB),
        number(guess, unit=MIB),
        number(peak_bytes(record), unit=MIB),
        _rate(prefill[0].tokens_per_s if prefill else None),
        _rate(decode[0].tokens_per_s if decode else None),
        perplexity_cell(perplexity(record)),
        Cell(record.outcome.label),
        Cell("; ".join(remarks(record))),
        Cell(record.origin or ""),
    )


def knob_cells(record: Record, knobs: Sequence[str]) -> tuple[Cell, ...]:
    """A cell for each of the knobs, as asked."""
    return tuple(_knob_cell(_as_asked(record, name)) for name in knobs)


def _knob_cell(value: int | str | None) -> Cell:
    if isinstance(value, int):
        return Cell(count(value), value)
    return Cell(NOT_MEASURED if value is None else value)


def experts_table(records: Sequence[Record]) -> Table:
    """One row for each number of active experts: the range of memory over contexts, speed, quality,
    outcomes."""
    experts = sorted({n_expert_used(record) for record in records}, key=lambda e: e or 0)
    rows = tuple(_experts_row(e, records) for e in experts)
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


def _experts_row(experts: int | None, everything: Sequence[Record]) -> tuple[Cell, ...]:
    records = [record for record in everything if n_expert_used(record) == experts]
    free = [
        record for record in records if memory_limit_bytes(record) is None and succeeded(record)
    ]
    totals = sorted(
        sum(parts.values()) for record in free if (parts := measured_components(record))
    )
    prefill, decode = (rates_by_experts(records, kind).get(experts, ()) for kind in ("pp", "tg"))
    scored = next((record for record in free if perplexity(record)), None)
    found = cost_against_reference(scored, everything) if scored else None
    return (
        Cell(experts_word(experts), experts),
        _span(totals),
        _rate(prefill[0].tokens_per_s if prefill else None),
        _rate(decode[0].tokens_per_s if decode else None),
        Cell(f"{rate(decode[-1].tokens_per_s)} @ {decode[-1].n_depth:,}", decode[-1].tokens_per_s)
        if decode and decode[-1].n_depth
        else Cell(NOT_MEASURED),
        perplexity_cell(perplexity(scored) if scored else None),
        ratio_cell(found),
        divergence_cell(found),
        Cell(outcome_counts(records)),
        Cell("; ".join(_merged_remarks(records))),
    )


def _span(totals: Sequence[int]) -> Cell:
    """Sorted bytes as `214 to 371` MiB, or as the one figure that they share."""
    if not totals:
        return Cell(NOT_MEASURED)
    ends = dict.fromkeys(f"{n_bytes / MIB:,.0f}" for n_bytes in (totals[0], totals[-1]))
    return Cell(" to ".join(ends), totals[-1])


def outcome_counts(records: Iterable[Record]) -> str:
    """`'5 ok, 2 oom_kv'`: labels with their numbers, successes first."""
    labels = [record.outcome.label for record in records]
    ordered = sorted(set(labels), key=lambda label: (label != "ok", label))
    return ", ".join(f"{labels.count(label)} {label}" for label in ordered)


def _merged_remarks(records: Iterable[Record]) -> list[str]:
    said = [remark.partition(" (")[0] for record in records for remark in remarks(record)]
    return [
        f"{remark}: {said.count(remark)} point{'s' if said.count(remark) > 1 else ''}"
        for remark in sorted(set(said))
    ]


def outcomes_table(records: Sequence[Record]) -> Table:
    """Every point that did not end well, with llama.cpp's own words and the next step; empty where
    all did."""
    settings = list(by_setting(records))
    rows = tuple(
        (
            Cell(record.label if "=" in record.label else run_words(record, settings)),
            Cell(record.outcome.label),
            Cell(record.outcome.stage or NOT_MEASURED),
            Cell(_reason(record)),
            Cell(record.outcome.message or NOT_MEASURED),
            Cell("; ".join(remarks(record))),
        )
        for record in records
        if not succeeded(record)
    )
    columns = ("point", "outcome", "stage", "what the log says", "what to do", "remarks")
    return Table(caption="Points that did not run to their end", columns=columns, rows=rows)


def _reason(record: Record) -> str:
    lines = [line.strip() for line in record.outcome.evidence if line.strip()]
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


def memory_word(records: Sequence[Record]) -> str:
    """`'VRAM'` where all records have cards, else `'memory'`."""
    return "VRAM" if records and all(has_cards(record) for record in records) else "memory"
