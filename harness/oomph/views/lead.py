"""What a chapter opens with: the answer to the question that its records were measured for."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from oomph.frozen import frozen
from oomph.quality.comparisons import Paired
from oomph.quality.tasks import TaskRun
from oomph.quality.text import References, compared_with
from oomph.records.summary import RecordSummary
from oomph.views.calibration import errors_table
from oomph.views.frontiers import End, basis, ends_of, ends_table, frontier_findings
from oomph.views.headline import evidence, headline
from oomph.views.material import Material
from oomph.views.quality import quality_table
from oomph.views.quality_cells import cost_against_reference
from oomph.views.table import Table, for_page
from oomph.views.tables import experts_table
from oomph.views.task_findings import nearness, task_basis, task_evidence, task_headline
from oomph.views.task_tables import pairs_table, scores_table
from oomph.views.task_words import RunNames

Kind = Literal["frontier", "claims", "tasks", "quality", "sweep"]
QUESTIONS: Final[dict[Kind, str]] = {
    "frontier": "How long a context runs when it is filled to its end?",
    "claims": "Do these claims about memory hold?",
    "tasks": "Do more active experts answer better, and how far does a context hold?",
    "quality": "What do fewer experts and smaller KV types cost in quality?",
    "sweep": "What does it take, and how fast is it, by context and active experts?",
}
FRONT: Final[dict[Kind, tuple[str, ...]]] = {
    "frontier": ("memory-map",),
    "claims": ("memory-map",),
    "tasks": ("score-by-length",),
    "quality": ("quality-by-experts",),
    "sweep": ("decode-by-depth", "memory-by-context"),
}
"""The figures that stand beside the answer."""
GLANCE: Final = (
    "n_expert_used",
    "memory MiB",
    "prefill t/s",
    "decode t/s",
    "decode t/s at depth",
    "perplexity",
)
COSTS: Final = (
    "n_expert_used",
    "type_k",
    "perplexity",
    "ratio to reference",
    "KL divergence, nats",
    "same top token",
)
PAIRS: Final = (
    "setting",
    "items",
    "difference",
    "what it shows",
    "items that would show it",
)
"""The columns of the tables that stand in front; the others are in the sections."""
MOST_COSTS: Final = 4
"""Settings that a headline on quality names."""


@frozen
class Lead:
    """The question, its answer in a sentence, what the figures hold, the findings beside it, and
    the tables that carry them; `figures` names those that stand in front."""

    question: str
    headline: str
    basis: tuple[str, ...]
    evidence: tuple[str, ...]
    tables: tuple[Table, ...]
    figures: tuple[str, ...]


def kind_of(summaries: Sequence[RecordSummary]) -> Kind:
    """What most of the records were measured for, as their sweep and their workload say; tasks
    where there are any, for they are asked beside all else."""
    if any(each.record.tasks and each.record.tasks.items for each in summaries):
        return "tasks"
    kinds = [_kind(summary) for summary in summaries]
    return max(dict.fromkeys(kinds), key=kinds.count)


def _kind(summary: RecordSummary) -> Kind:
    record = summary.record
    if record.sweep == "frontier":
        return "frontier"
    if record.sweep.startswith("claims-"):
        return "claims"
    return "quality" if compared_with(record) and not record.timings else "sweep"


def lead_of(material: Material, language: str = "en") -> Lead:
    """The lead of a chapter; `language` is the headline's."""
    summaries, fit = material.summaries, material.fit
    kind = kind_of(summaries)
    ends = ends_of(summaries, material.memory_grids, material.real) if kind == "frontier" else []
    runs, pairs = material.task_runs, material.task_pairs
    table = _pairs(runs, pairs) if kind == "tasks" else _table(kind, summaries, ends)
    tables = [errors_table(fit)] if fit else []
    return Lead(
        question=QUESTIONS[kind],
        headline=headline(
            summaries,
            language,
            task_headline(runs, pairs) if kind == "tasks" else _findings(kind, summaries, ends),
        ),
        basis=(*task_basis(runs, pairs), *_memory_basis(material)),
        evidence=(
            *task_evidence(runs, pairs),
            *evidence(
                summaries, material.shown_comparisons, fit=fit, with_frontiers=kind != "frontier"
            ),
        ),
        tables=tuple(for_page(each) for each in (*tables, table) if each.rows),
        figures=FRONT[kind],
    )


def _table(kind: Kind, summaries: Sequence[RecordSummary], ends: Sequence[End]) -> Table:
    if kind == "frontier":
        return ends_table(ends)
    if kind == "quality":
        return _only(quality_table(_longest(summaries)), COSTS, "At the longest context")
    return _only(experts_table(summaries), GLANCE, "At a glance, by active experts")


def _memory_basis(material: Material) -> Iterator[str]:
    return basis(material.summaries, material.real) if material.has_memory else iter(())


def _pairs(runs: Sequence[TaskRun], pairs: Sequence[Paired]) -> Table:
    """Each setting against its reference; where there is none, the scores."""
    if not pairs:
        return scores_table(runs)
    names, references = RunNames(runs), dict.fromkeys(id(each.reference) for each in pairs)
    is_one = len(references) == 1
    against = names.of(pairs[0].reference) if is_one else "the reference"
    return _only(
        pairs_table(sorted(pairs, key=nearness), runs),
        PAIRS if is_one else (*PAIRS, "against"),
        f"Against {against}, on the same items; difference of mean scores, 95 % interval",
    )


def _only(table: Table, columns: Sequence[str], caption: str) -> Table:
    """Some of a table's columns, for the front of a page."""
    kept = [place for place, column in enumerate(table.columns) if column in columns]
    return Table(
        caption=caption,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def _longest(summaries: Sequence[RecordSummary]) -> list[RecordSummary]:
    scored = [each for each in summaries if each.succeeded and compared_with(each.record)]
    longest = max((each.n_ctx for each in scored), default=0)
    return [each for each in scored if each.n_ctx == longest]


def _findings(
    kind: Kind, summaries: Sequence[RecordSummary], ends: Sequence[End]
) -> dict[str, Any] | None:
    """The headline's case and figures; None for that of a sweep."""
    if kind == "frontier":
        return frontier_findings(ends, summaries[0])
    if kind == "quality" and (costs := _costs(summaries)):
        return {"case": "quality", "costs": costs}
    return None


def _costs(summaries: Sequence[RecordSummary]) -> list[dict[str, str]]:
    """By how much perplexity rises where a single knob leaves the reference, at the longest
    context."""
    scored = _longest(summaries)
    references = References(each.record for each in scored)
    costs = []
    for each in scored:
        knobs = compared_with(each.record) or {}
        apart = {knob: v for knob in knobs if (v := each.record.config.get(knob)) != knobs[knob]}
        found = cost_against_reference(each.record, references)
        if "type_k" in apart:
            apart.pop("type_v", None)
        if found is None or len(apart) != 1:
            continue
        words = ", ".join(_words(knob, value) for knob, value in apart.items())
        ratio = found.perplexity_ratio
        costs.append({"words": words, "ratio": f"{ratio:,.{0 if ratio >= 100 else 2}f}"})
    return costs[:MOST_COSTS]


def _words(knob: str, value: object) -> str:
    return {"n_expert_used": f"{value} active experts", "type_k": f"KV {value}"}.get(
        knob, f"{knob} {value}"
    )
