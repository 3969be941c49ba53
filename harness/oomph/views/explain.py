"""Explanations in plain words, with the figures of one model on one card put in.

Stands apart from `oomph.advise.explanations`, which computes the figures: here they get their
tables and templates (`texts/*/explain`), the same figures in every language.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from oomph.advise.context_tiers import Tier, context_tiers
from oomph.advise.explanations import (
    Explanation,
    explain_batch,
    explain_cache,
    explain_experts,
    explain_flash,
    explain_oom,
    explain_rope,
)
from oomph.advise.max_context import longest_context
from oomph.advise.quality_cited import QualityCited, quality_cited
from oomph.advise.quantizations import quantization_of
from oomph.architectures.rope import has_positions, longest_extension, native_context
from oomph.calibrate.subject import asked_of, seen_cards
from oomph.cards import CardNames, kind_counts
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.frozen import frozen
from oomph.programs.said import Said
from oomph.units import MIB, NOT_MEASURED, count, rate, size, wait
from oomph.views.answer import rope_flags
from oomph.views.asked import asked_paragraph
from oomph.views.language import chance, render_text, respell, words_of

if TYPE_CHECKING:
    from oomph.records.schema import Record


EXAMPLE_MODEL: Final = "qwen3-30b-a3b:Q4_K_M"
EXAMPLE_CARD: Final = "RTX 4090"
USUAL_CONTEXT: Final = 32_768
"""The context that is explained where none is named, or the model's own if less."""
MOST_CITED: Final = 4
"""Measured settings that an explanation names."""
TOPICS: Final = ("oom", "context", "experts", "kv", "flash-attention", "batch", "rope")


@frozen
class Topic:
    """What is explained of whom. `is_example_model` and `is_example_card` say that the user named
    none."""

    estimator: Estimator
    config: RunConfig
    said: Said = field(default_factory=Said)
    records: "Sequence[Record]" = ()
    is_example_model: bool = False
    is_example_card: bool = False


def topic_of(
    model: str | None,
    gpu: CardNames,
    memory_mib: float | str | None = None,
    *,
    said: Said | None = None,
    calibration: Path | None = None,
    records: "Sequence[Record]" = (),
) -> Topic:
    """The model and the card that were named, the machine's own card, or examples."""
    is_example_card = False
    if not gpu and memory_mib is None:
        try:
            seen_cards()
        except ConfigError:
            gpu, is_example_card = EXAMPLE_CARD, True
    said = said or Said()
    asked = asked_of(model or EXAMPLE_MODEL, gpu, memory_mib, calibration, said)
    config = asked.config
    if "n_ctx" not in said.knobs:
        config = config.with_(n_ctx=min(config.n_ctx, USUAL_CONTEXT))
    return Topic(
        estimator=asked.estimator,
        said=said,
        config=config,
        records=records,
        is_example_model=model is None,
        is_example_card=is_example_card,
    )


def explain_text(name: str | None, topic: Topic, language: str) -> str:
    """The explanation `name` of TOPICS; None lists them. ConfigError for another."""
    if name is None:
        return render_text("explain/topics", language)
    if name not in TOPICS:
        raise ConfigError(
            f"there is no explanation of {name!r}; the topics are {', '.join(TOPICS)}"
        )
    values = _VALUES[name](topic)
    rows = [words_of(language, "explain")[name], *values.pop("rows")] if "rows" in values else []
    text = render_text(
        f"explain/{name}",
        language,
        f=_facts(topic),
        rows=rows,
        columns=lambda rows: _columns(rows, language),
        **values,
    )
    return f"{text.rstrip()}\n\n{asked_paragraph(topic.said, topic.config, language)}\n"


def _facts(topic: Topic) -> dict[str, Any]:
    """What every explanation may mention."""
    estimator, model = topic.estimator, topic.estimator.model
    cards = tuple(estimator.cards_in(topic.config).values())
    scaling = longest_extension(model)
    return {
        "model": model.name,
        "quantization": quantization_of(model),
        "arch": model.arch,
        "is_moe": model.is_moe,
        "kinds": kind_counts(card.name for card in cards),
        "memory_bytes": sum(card.memory_bytes for card in cards),
        "n_ctx": topic.config.n_ctx,
        "example_model": topic.is_example_model,
        "example_card": topic.is_example_card,
        "native": native_context(model),
        "extended": scaling.n_ctx if scaling else None,
        "has_positions": has_positions(model),
        "has_attention": max(model.per_layer("attention.head_count", 1)) > 0,
    }


def _oom(topic: Topic) -> dict[str, Any]:
    return {"l": explain_oom(topic.estimator, topic.config)}


def _context(topic: Topic) -> dict[str, Any]:
    tiers = context_tiers(topic.estimator, topic.config, topic.records)
    return {
        "l": explain_cache(topic.estimator, topic.config),
        "tiers": tiers,
        "rows": [_tier_row(tier) for tier in tiers],
        "longest": longest_context(topic.estimator, topic.config),
        "quality": [each for each in _quality(topic) if len(each.by_length) > 1][:MOST_CITED],
    }


def _tier_row(tier: Tier) -> tuple[str, ...]:
    speed = tier.speed
    return (
        count(tier.n_ctx),
        _mib(tier.total_vram_bytes),
        _mib(tier.margin_bytes),
        NOT_MEASURED if tier.probability is None else chance(tier.probability),
        _range(speed.decode_tokens_per_s, speed.decode_interval_90) if speed else NOT_MEASURED,
        _range(speed.prefill_tokens_per_s, speed.prefill_interval_90) if speed else NOT_MEASURED,
        wait(tier.first_token_s),
        f"× {tier.scaling.factor:g}" if tier.scaling else "",
    )


def _range(value: float, interval: tuple[float, float] | None) -> str:
    return f"{rate(value)} ({rate(interval[0])}–{rate(interval[1])})" if interval else rate(value)


def _experts(topic: Topic) -> dict[str, Any]:
    found = explain_experts(topic.estimator, topic.config)
    rows = [
        (
            str(row.value),
            _mib(row.device.total_bytes),
            _mib(row.device.compute_bytes),
            *_decode(row),
            _prefill(row),
        )
        for row in (found.rows if found else ())
    ]
    return {"l": found, "rows": rows, "quality": _by_experts(topic)}


def _by_experts(topic: Topic) -> list[QualityCited]:
    """The settings that nothing but the experts tells from what is asked, of tasks and of texts;
    the nearest setting where there is none."""
    found = _quality(topic)
    shown = [each for each in found if {name for name, _ in each.apart} <= {"n_expert_used"}]
    ordered = sorted(shown or found[:1], key=lambda each: each.n_expert_used or 0)
    return ordered[: 2 * MOST_CITED]


def _quality(topic: Topic) -> Sequence[QualityCited]:
    return quality_cited(topic.estimator.model, topic.config, topic.records)


def _scaled(topic: Topic) -> list[QualityCited]:
    """The settings whose RoPE scaling was held against none, or another."""
    return [
        each
        for each in _quality(topic)
        if each.compared and any(name.startswith("rope") for name, _ in each.compared.apart)
    ][:MOST_CITED]


def _kv(topic: Topic) -> dict[str, Any]:
    found = explain_cache(topic.estimator, topic.config)
    rows = [
        (str(row.value), size(n_bytes), _mib(row.device.kv_cache_bytes), _longest(row))
        for row, n_bytes in zip(found.rows, found.per_token_bytes, strict=True)
    ]
    return {"l": found, "rows": rows}


def _flash(topic: Topic) -> dict[str, Any]:
    found = explain_flash(topic.estimator, topic.config)
    rows = [
        (
            str(row.value),
            _mib(row.device.compute_bytes),
            _mib(row.pool_bytes),
            _longest(row),
            _decode(row)[1],
            _prefill(row),
        )
        for row in found
    ]
    return {"l": found, "rows": rows}


def _batch(topic: Topic) -> dict[str, Any]:
    found = explain_batch(topic.estimator, topic.config)
    rows = [
        (
            count(int(row.value)),
            _mib(row.device.compute_bytes),
            _mib(row.pool_bytes),
            _mib(row.device.total_bytes),
            _prefill(row),
        )
        for row in found.rows
    ]
    return {"l": found, "rows": rows}


def _rope(topic: Topic) -> dict[str, Any]:
    found = explain_rope(topic.estimator, topic.config)
    return {
        "l": found,
        "flags": rope_flags(found.scaling) if found.scaling else "",
        "quality": _scaled(topic),
    }


_VALUES: Final[dict[str, Callable[[Topic], dict[str, Any]]]] = {
    "oom": _oom,
    "context": _context,
    "experts": _experts,
    "kv": _kv,
    "flash-attention": _flash,
    "batch": _batch,
    "rope": _rope,
}


def _mib(n_bytes: float) -> str:
    return f"{n_bytes / MIB:,.0f}"


def _longest(row: Explanation) -> str:
    return count(row.longest) if row.longest else NOT_MEASURED


def _decode(row: Explanation) -> tuple[str, str]:
    if row.speeds is None:
        return NOT_MEASURED, NOT_MEASURED
    return rate(row.speeds.empty.decode_tokens_per_s), rate(row.speeds.full.decode_tokens_per_s)


def _prefill(row: Explanation) -> str:
    return rate(row.speeds.full.prefill_tokens_per_s) if row.speeds else NOT_MEASURED


def _columns(rows: Iterable[Sequence[str]], language: str) -> Markup:
    """Aligned lines of our own figures, which stay as they are; the columns' names come first."""
    header, *body = rows
    cells = [tuple(header), *(tuple(respell(cell, language) for cell in row) for row in body)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = (
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )
    return Markup("\n".join(f"    {line}" for line in lines))
