"""The verdict on a card's first day as tables and as the first chapter of its page."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from oomph.analysis.first_card.predictions import SEAL
from oomph.analysis.first_card.verdict import DayVerdict, Judged, QuantityErrors
from oomph.calibrate.comparison import Comparison
from oomph.measure.first_card.visit import Planned
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.units import MIB, NOT_MEASURED, count, counted, mib, percent, rate, share, wait
from oomph.views.figures import fit_pictures
from oomph.views.frontiers import basis
from oomph.views.sections import Chapter, Section
from oomph.views.table import Cell, Table, number

_QUANTITIES: Final = {
    "total_vram_bytes": "all of the card's memory",
    "weights_bytes": "weights",
    "kv_cache_bytes": "KV cache",
    "compute_bytes": "compute buffer",
    "host_bytes": "host memory",
    "prefill_tokens_per_s": "prefill",
    "decode_tokens_per_s": "decode",
}
_ERRORS: Final = (
    "quantity",
    "n",
    "median error",
    "worst",
    "bias",
    "in 90 %",
    "calibrated",
    "its worst",
    "its 90 %",
)
_RATES: Final = (
    "model",
    "run",
    "test",
    "depth",
    "predicted before",
    "90 %",
    "measured",
    "error",
    "J per token",
)
_VIEWS: Final = (
    "model",
    "run",
    "predicted before",
    "llama.cpp's lines",
    "NVML, process",
    "NVML, card",
    "cudaMemGetInfo",
)
_IN_EVIDENCE: Final = (
    "total_vram_bytes",
    "host_bytes",
    "prefill_tokens_per_s",
    "decode_tokens_per_s",
)
_AGAIN: Final = "results/mine/first-card"
_NOT_THE_SAME: Final = (
    "predictions.jsonl is not what was sealed before the first step: the figures below say "
    "nothing of foresight"
)


def plan_table(plan: list[Planned], *, minutes: float) -> Table:
    """What is going to be done, in order, with the minutes that it is expected to take."""
    rows, at = [], 0.0
    for step in plan:
        at += 0.0 if step.done else step.seconds or 0.0
        is_in_time = step.done or (step.seconds is not None and at <= minutes * 60)
        state = "done" if step.done else step.why or ("" if is_in_time else "if time is left")
        rows.append(
            (Cell(step.name), Cell(step.asks), Cell(wait(step.seconds), step.seconds), Cell(state))
        )
    return Table(
        caption=f"The plan, {minutes:g} minutes",
        columns=("step", "question", "about", ""),
        rows=tuple(rows),
    )


def errors_table(verdict: DayVerdict) -> Table:
    """One row per quantity: how far the predictions made before were off, and what a calibration
    leaves."""
    return Table(
        caption="Predicted before the card was seen, beside measured (calibrated: on points that "
        "the fit did not see)",
        columns=_ERRORS,
        rows=tuple(_error_row(each) for each in verdict.errors),
    )


def _error_row(judged: Judged) -> tuple[Cell, ...]:
    before, after = judged.before, judged.calibrated
    return (
        Cell(_QUANTITIES.get(judged.quantity, judged.quantity)),
        number(next((each.n for each in (before, after) if each), None)),
        _size(before, "median"),
        _size(before, "worst"),
        _bias(before),
        _inside(before),
        _size(after, "median"),
        _size(after, "worst"),
        _inside(after),
    )


def _size(errors: QuantityErrors | None, which: Literal["median", "worst"]) -> Cell:
    if errors is None:
        return Cell(NOT_MEASURED)
    value: float = getattr(errors, which)
    return Cell(share(value) if errors.is_rate else mib(value, 2), value)


def _bias(errors: QuantityErrors | None) -> Cell:
    if errors is None:
        return Cell(NOT_MEASURED)
    return Cell(
        percent(errors.bias) if errors.is_rate else f"{errors.bias / MIB:+,.2f} MiB", errors.bias
    )


def _inside(errors: QuantityErrors | None) -> Cell:
    if errors is None or errors.coverage is None:
        return Cell(NOT_MEASURED)
    return Cell(share(errors.coverage, 0), errors.coverage)


def rates_table(verdict: DayVerdict) -> Table:
    """Every rate that was predicted before, beside the measured one, with the energy of a token."""
    rows = []
    records = {record.record_id: record for record in verdict.records}
    for each in verdict.comparisons:
        if each.quantity.endswith("_per_s"):
            record = records[each.record_id]
            interval = "" if each.lower is None else f"{rate(each.lower)} to {rate(each.upper)}"
            rows.append(
                (
                    Cell(record.model.name),
                    Cell(_run(record)),
                    Cell(_QUANTITIES[each.quantity]),
                    number(each.n_depth),
                    Cell(rate(each.predicted), each.predicted),
                    Cell(interval),
                    Cell(rate(each.measured), each.measured),
                    _error(each),
                    number(joules_per_token(record, each), digits=3),
                )
            )
    return Table(
        caption="Tokens per second, and joules of a token", columns=_RATES, rows=tuple(rows)
    )


def _error(comparison: Comparison) -> Cell:
    error = comparison.predicted / comparison.measured - 1
    return Cell(percent(error) + (", disturbed" if comparison.is_disturbed else ""), error)


def joules_per_token(record: Record, comparison: Comparison) -> float | None:
    """The card's energy of one token of the test that a rate is of; None where nobody counted."""
    kind = "pp" if comparison.quantity.startswith("prefill") else "tg"
    for timing in record.timings:
        depth = timing.n_depth if kind == "pp" else int(timing.n_depth + timing.n_tokens / 2)
        if (
            timing.test.startswith(kind)
            and depth == comparison.n_depth
            and timing.energy_j is not None
        ):
            return timing.energy_j / (timing.n_tokens * timing.n_parallel * len(timing.samples_ns))
    return None


def views_table(verdict: DayVerdict) -> Table:
    """One row per run on a card: its memory by every source."""
    before = {
        c.record_id: c.predicted for c in verdict.comparisons if c.quantity == "total_vram_bytes"
    }
    rows = tuple(
        (
            Cell(views.record.model.name),
            Cell(_run(views.record)),
            number(before.get(views.record.record_id), unit=MIB, digits=1),
            number(views.buffers, unit=MIB, digits=1),
            number(views.nvml_process, unit=MIB, digits=1),
            number(views.nvml_device, unit=MIB, digits=1),
            number(views.cuda, unit=MIB, digits=1),
        )
        for views in verdict.views
    )
    return Table(
        caption="The card's memory by each account (MiB)",
        rows=rows,
        columns=_VIEWS,
    )


def frontiers_table(verdict: DayVerdict) -> Table:
    """Where contexts end in what a ballast left."""
    rows = tuple(
        (
            Cell(found.step),
            Cell(_knobs(found.config)),
            number(found.predicted),
            number(found.measured),
            Cell(f"{count(found.failed_n_ctx)}: {found.failed}" if found.failed else ""),
            number(found.n_probes),
        )
        for found in verdict.frontiers
    )
    return Table(
        caption="The largest n_ctx that runs full in what a ballast leaves",
        columns=("step", "setting", "predicted before", "runs full", "next one up", "probes"),
        rows=rows,
    )


def stages_table(verdict: DayVerdict) -> Table:
    """How each setting that was to run out of memory did, in CUDA's own words."""
    rows = tuple(
        (
            Cell(seen.step),
            Cell(_knobs(seen.config)),
            number(int(seen.config["n_ctx"])),
            Cell(seen.predicted),
            Cell(seen.seen),
            number(seen.n_filled),
            Cell(seen.evidence),
        )
        for seen in verdict.stages
    )
    return Table(
        caption="Running out of memory, stage by stage",
        columns=(
            "step",
            "setting",
            "n_ctx",
            "predicted before",
            "seen",
            "tokens in",
            "the log says",
        ),
        rows=rows,
    )


def facts_table(facts: Mapping[str, Any]) -> Table:
    """What NVML and the driver say of the card, and what a context without any allocation takes."""
    rows = [
        (Cell(source), Cell(key.replace("_", " ")), _fact(key, value))
        for source in ("nvml", "cuda", "context")
        for key, value in facts[source].items()
        if value is not None
    ]
    return Table(caption=str(facts["name"]), columns=("source", "fact", "value"), rows=tuple(rows))


def _fact(key: str, value: Any) -> Cell:
    if key.endswith("_bytes"):
        return Cell(mib(value, 1))
    return Cell(", ".join(f"{each:g}" for each in value) if isinstance(value, list) else str(value))


def steps_table(verdict: DayVerdict) -> Table:
    """How each step ended and what it took."""
    rows = tuple(
        (
            Cell(entry.step),
            Cell(entry.state),
            Cell(wait(entry.seconds) if entry.seconds else "", entry.seconds),
            Cell(entry.why),
        )
        for entry in verdict.steps
        if entry.step != SEAL
    )
    return Table(caption="Steps", columns=("step", "state", "took", "why"), rows=rows)


def first_chapter(verdict: DayVerdict, title: str) -> Chapter:
    """What stands before the page's chapters of single models."""
    facts = (facts_table(verdict.facts),) if verdict.facts else ()
    drawn = tuple(fit_pictures(verdict.comparisons))
    sections = (
        Section(title="Memory, predicted and measured", pictures=drawn[:-1]),
        Section(title="Rates", tables=(rates_table(verdict),)),
        Section(title="Out of memory", tables=(frontiers_table(verdict), stages_table(verdict))),
        Section(title="Memory sources", text=_SOURCES, tables=(views_table(verdict),)),
        Section(title="The card", tables=facts),
        Section(title="Steps", tables=(steps_table(verdict),)),
        Section(title="How to repeat it", commands=(f"oomph first-card --out {_AGAIN}",)),
    )
    shown = [replace(s, tables=tuple(t for t in s.tables if t.rows)) for s in sections]
    errors = errors_table(verdict)
    return Chapter(
        title=title,
        question="How near was what had been predicted before the card was seen?",
        headline=_headline(verdict),
        basis=(_sealed(verdict), *_basis(verdict)),
        evidence=tuple(evidence(verdict)),
        tables=(errors,) if errors.rows else (),
        pictures=drawn[-1:],
        sections=tuple(s for s in shown if s.tables or s.pictures or s.commands),
    )


def _basis(verdict: DayVerdict) -> Iterator[str]:
    """What is in the figures of memory, and what is not."""
    if summaries := summaries_of(verdict.records):
        yield from basis(summaries)


_SOURCES: Final = (
    "llama.cpp's lines leave out the CUDA context, cuBLAS's workspace and the pool that grows in "
    "use. NVML counts the worker's process, and the card less what was on it before; "
    "cudaMemGetInfo is asked by the worker after its last token, so it misses what was given back "
    "by then."
)


def _sealed(verdict: DayVerdict) -> str:
    if not verdict.is_sealed:
        return _NOT_THE_SAME + "."
    return (
        "The predictions were on disk, and their hash in the journal, before the first step began."
    )


def _headline(verdict: DayVerdict) -> str:
    """What was foretold and how it came out; before that how far off memory and decode were."""
    errors = {each.quantity: each.before for each in verdict.errors if each.before}
    off = [
        f"{_QUANTITIES[quantity]} off by {_size(errors[quantity], 'median').text}"
        for quantity in ("total_vram_bytes", "decode_tokens_per_s", "prefill_tokens_per_s")
        if quantity in errors
    ]
    beforehand = f"Predicted before, {', '.join(off)} in the median; " if off else ""
    ran = sum(record.outcome.label == "ok" for record in verdict.records)
    right = sum(seen.predicted == seen.seen for seen in verdict.stages)
    stages = (
        f", {right} of {len(verdict.stages)} stages of running out as predicted"
        if verdict.stages
        else ""
    )
    return f"{beforehand}{ran} of {len(verdict.records)} points ran{stages}"


def evidence(verdict: DayVerdict) -> Iterator[str]:
    """The verdict in sentences."""
    if not verdict.is_sealed and verdict.records:
        yield _NOT_THE_SAME
    for errors in verdict.errors:
        if errors.quantity in _IN_EVIDENCE and (errors.before or errors.calibrated):
            yield _error_sentence(errors)
    for found in verdict.frontiers:
        if found.predicted is not None:
            yield (
                f"{found.step}: predicted to end at n_ctx {count(found.predicted)}, ends at "
                f"{count(found.measured)}"
            )
    context_bytes = (verdict.facts or {}).get("context", {}).get("nvml_device_bytes")
    if context_bytes:
        yield f"a CUDA context without any allocation takes {mib(context_bytes)} by NVML"
    for entry in verdict.steps:
        if entry.state in ("left out", "failed", "stopped"):
            yield f"{entry.step}: {entry.state}, {entry.why}"
    if verdict.unfitted:
        yield f"not calibrated: {verdict.unfitted}"


def _error_sentence(judged: Judged) -> str:
    said = []
    if before := judged.before:
        inside = (
            ""
            if before.coverage is None
            else f", {share(before.coverage, 0)} inside the 90 % interval"
        )
        said.append(f"off by {_size(before, 'median').text} (median of {before.n}){inside}")
    if after := judged.calibrated:
        said.append(
            f"calibrated, on points that the fit did not see, {_size(after, 'median').text}"
        )
    if judged.n_disturbed:
        said.append(f"{counted(judged.n_disturbed, 'disturbed measurement')} left aside")
    return f"{_QUANTITIES[judged.quantity]}: {'; '.join(said)}"


def _run(record: Record) -> str:
    experts = record.reported.n_expert_used or record.config.get("n_expert_used")
    parts = [f"n_ctx {count(int(record.config['n_ctx']))}", f"{experts} experts" if experts else ""]
    group = str(record.workload.get("group", "")).rpartition(": ")[2]
    return ", ".join(part for part in (*parts, group) if part)


def _knobs(config: Mapping[str, Any]) -> str:
    told = [f"{config['n_expert_used']} experts"] if config.get("n_expert_used") else []
    told += [f"flash_attn {config['flash_attn']}", f"n_ubatch {count(config['n_ubatch'])}"]
    return ", ".join(told)
