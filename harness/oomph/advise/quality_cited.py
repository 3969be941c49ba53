"""What records say of a model's quality in the settings that are asked about, nearest first.

Any machine's records count: the same weights and knobs give the same answers but for rounding.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from oomph.advise.evidence import is_model, settled
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.quality.comparisons import Paired
    from oomph.quality.tasks import TaskRun
    from oomph.records.schema import Record
    from oomph.records.summary import RecordSummary

_TOLD: Final = ("n_expert_used", "type_k", "type_v", "rope_scaling", "rope_scale")
"""The knobs by which settings of quality are told apart."""

Kind = Literal["tasks", "text"]
Apart = tuple[tuple[str, Any], ...]
"""Knobs with their values, None where the model decides."""


@frozen
class Compared:
    """A setting against its reference on the same items or tokens: of tasks the mean difference of
    scores (0.01 is a point), of a text the ratio of perplexities, each with its 95 % interval.
    `finding` is what it shows among all comparisons of the records; `apart` is how the setting
    differs from its reference, `reference_experts` are the active experts of that."""

    apart: Apart
    reference_experts: int | None
    n_pairs: int
    value: float
    low: float
    high: float
    finding: Literal["better", "worse", "not shown"]


@frozen
class LengthScore:
    """Right answers at one length in tokens, with the 95 % interval."""

    n_tokens: int
    n_items: int
    right: float
    low: float
    high: float


@frozen
class QualityCited:
    """What one setting was measured to do: tasks (the share of right answers) or a text (its
    perplexity), with the 95 % interval.

    `apart` are the knobs in which it differs from what is asked, `n_items` the items or tokens,
    `effective_length` the longest context that keeps 85 % of the shortest's score, None where it
    was not asked at several; `effective_is_open` where nothing longer was asked. `where` is the
    machine, `backend` as in records, `origin` the tool where it was not oomph.
    """

    kind: Kind
    n_expert_used: int | None
    apart: Apart
    n_items: int
    value: float
    low: float | None
    high: float | None
    by_length: tuple[LengthScore, ...]
    effective_length: int | None
    effective_low: int | None
    effective_high: int | None
    effective_is_open: bool
    compared: Compared | None
    record_id: str
    where: str
    backend: str
    origin: str | None


def quality_cited(
    model: ModelSpec, config: RunConfig, records: "Iterable[Record]"
) -> tuple[QualityCited, ...]:
    """What the records say of the model's quality: of each setting its tasks and its text, the
    setting nearest to `config` first."""
    own = [r for r in records if is_model(r.model, model) and "n_ctx" in r.config]
    if not any(record.tasks or record.quality for record in own):
        return ()
    from oomph.records.summary import summaries_of

    asked, summaries = _knobs(settled(config, model), config), summaries_of(own)
    found = [*_tasks(summaries, asked), *_texts(summaries, asked)]
    return tuple(sorted(found, key=_distance(asked)))


def _knobs(settled_config: RunConfig, config: RunConfig) -> dict[str, Any]:
    """The asked knobs that tell settings apart; RoPE's as they were asked."""
    told = {name: getattr(settled_config, name) for name in _TOLD}
    return told | {"rope_scaling": config.rope_scaling, "rope_scale": config.rope_scale}


def _distance(asked: Mapping[str, Any]) -> "Any":
    def _of(each: QualityCited) -> tuple[int, int]:
        experts = (each.n_expert_used or 0) - (asked["n_expert_used"] or 0)
        return len(each.apart), abs(experts)

    return _of


def _tasks(summaries: "Sequence[RecordSummary]", asked: Mapping[str, Any]) -> list[QualityCited]:
    from oomph.quality.comparisons import compare_runs
    from oomph.quality.effective_length import effective_length
    from oomph.quality.tasks import score_of, task_runs

    runs = task_runs(summaries)
    pairs = {id(pair.run): pair for pair in compare_runs(runs)}
    found = []
    for run in runs:
        score = score_of(run.of())
        if score is None:
            continue
        reach = effective_length(run)
        found.append(
            QualityCited(
                kind="tasks",
                value=score.right,
                low=score.right_interval[0],
                high=score.right_interval[1],
                n_items=score.n,
                by_length=_by_length(run),
                effective_length=reach.n_tokens if reach else None,
                effective_low=reach.low if reach else None,
                effective_high=reach.high if reach else None,
                effective_is_open=bool(reach and reach.is_open),
                compared=_compared(pairs.get(id(run))),
                **_said(run.first, run.n_expert_used, run.knobs, asked),
            )
        )
    return found


def _by_length(run: "TaskRun") -> tuple[LengthScore, ...]:
    from oomph.quality.tasks import score_of

    return tuple(
        LengthScore(
            n_tokens=n_tokens,
            n_items=score.n,
            right=score.right,
            low=score.right_interval[0],
            high=score.right_interval[1],
        )
        for n_tokens in run.lengths
        if (score := score_of(run.of(n_tokens=n_tokens)))
    )


def _compared(pair: "Paired | None") -> Compared | None:
    if pair is None:
        return None
    return Compared(
        apart=_apart(pair.run.knobs, pair.reference.knobs),
        reference_experts=pair.reference.n_expert_used,
        n_pairs=pair.n_pairs,
        value=pair.difference,
        low=pair.interval[0],
        high=pair.interval[1],
        finding=pair.finding,
    )


def _texts(summaries: "Sequence[RecordSummary]", asked: Mapping[str, Any]) -> list[QualityCited]:
    """Of each setting the longest context whose text was scored."""
    from oomph.quality.tasks import setting_knobs
    from oomph.quality.text import References
    from oomph.records.grouping import grouped, knob_set

    scored = [each for each in summaries if each.succeeded and each.perplexity]
    references = References(each.record for each in scored)
    found = []
    for own in grouped(scored, lambda each: knob_set(setting_knobs(each))).values():
        last = max(own, key=lambda each: each.n_ctx)
        perplexity, reference = last.perplexity, references.of(last.record)
        if perplexity is None:
            continue
        found.append(
            QualityCited(
                kind="text",
                value=perplexity.value,
                low=perplexity.low,
                high=perplexity.high,
                n_items=perplexity.n_tokens,
                by_length=(),
                effective_length=None,
                effective_low=None,
                effective_high=None,
                effective_is_open=False,
                compared=_text_compared(last, reference),
                **_said(last.record, last.n_expert_used, setting_knobs(last), asked),
            )
        )
    return found


def _text_compared(summary: "RecordSummary", reference: "Record | None") -> Compared | None:
    from oomph.quality.tasks import setting_knobs
    from oomph.quality.text import cost

    own = summary.record
    if reference is None or reference is own or not reference.quality or not own.quality:
        return None
    paired = cost(own.quality, reference.quality)
    if paired is None or (ends := paired.ratio_interval) is None:
        return None
    told = reference.reported.n_expert_used
    knobs = {**reference.config, "n_expert_used": told or reference.config.get("n_expert_used")}
    return Compared(
        apart=_apart(setting_knobs(summary), knobs),
        reference_experts=knobs["n_expert_used"],
        n_pairs=paired.loss_nats.n,
        value=paired.perplexity_ratio,
        low=ends[0],
        high=ends[1],
        finding="worse" if ends[0] > 1 else "better" if ends[1] < 1 else "not shown",
    )


def _said(
    record: "Record", experts: int | None, knobs: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "n_expert_used": experts,
        "apart": _apart(knobs, asked),
        "record_id": record.record_id,
        "where": record.environment.machine,
        "backend": record.environment.backend,
        "origin": record.origin,
    }


def _apart(knobs: Mapping[str, Any], other: Mapping[str, Any]) -> Apart:
    """In what `knobs` differ from `other`; a V cache of the same type as the K cache goes without
    saying."""
    plain = {name: _plain(name, knobs.get(name)) for name in _TOLD}
    others = {name: _plain(name, other.get(name)) for name in _TOLD}
    apart = {name: value for name, value in plain.items() if value != others[name]}
    if apart.get("type_v") == apart.get("type_k"):
        apart.pop("type_v", None)
    return tuple(apart.items())


def _plain(name: str, value: Any) -> Any:
    """What stands where nobody said anything."""
    if name.startswith("type_"):
        return value or "f16"
    return None if value in ("none", 1, 1.0) and name.startswith("rope") else value
