"""Predictions as a stable JSON object and as tables.

The JSON is a contract with other programs, kept in `docs/estimate-json.md` field by field; the
tables are for people and may change. Both are pure functions of a Prediction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from oomph.config import RunConfig
from oomph.estimate.prediction import (
    COMPONENTS,
    TARGET,
    CardFit,
    DeviceMemory,
    InputEstimate,
    Prediction,
    SlotsSpeed,
    SpeedEstimate,
    input_sentences,
    is_card,
)
from oomph.units import MIB, NOT_MEASURED, count, likely, mib, rate
from oomph.views.host import host_json, host_paragraph
from oomph.views.table import Cell, Table, number
from oomph.views.trust_words import trust_json, trust_sentence

if TYPE_CHECKING:
    from oomph.advise.citations import Citation

MOST_CITED: Final = 3
Answer = Prediction | str
"""What one configuration is answered with: a prediction, or the sentence that says why there is
none."""


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """One configuration's answer; sizes in bytes, rates per second, None where nothing is known."""
    return {
        "model": prediction.model,
        "config": prediction.config.to_dict(),
        "devices": _devices_json(prediction.memory.devices),
        "contexts": {
            name: _devices_json(devices) for name, devices in prediction.memory.contexts.items()
        }
        if prediction.memory.riders
        else None,
        "total_vram_bytes": prediction.memory.total_vram_bytes,
        "cards": [asdict(card) | {"fits": card.margin_bytes >= 0} for card in prediction.cards],
        "host": host_json(prediction.host),
        "fits": prediction.fits,
        "fit_probability": prediction.fit_probability,
        "max_context": prediction.max_context,
        "exact_compute": prediction.memory.exact_compute,
        "trust": trust_json(prediction.memory.trust),
        "warnings": list(warnings(prediction)),
        "speed": speed_json(prediction.speed),
        "speed_reason": prediction.speed_reason,
        "inputs": inputs_json(prediction.inputs),
    }


def _devices_json(devices: Mapping[str, DeviceMemory]) -> dict[str, Any]:
    return {name: asdict(memory) for name, memory in devices.items()}


def speed_json(speed: SpeedEstimate | None) -> dict[str, Any] | None:
    """Tokens per second with their 90 % intervals as [low, high]."""
    if speed is None:
        return None
    return {
        "prefill_tokens_per_s": speed.prefill_tokens_per_s,
        "decode_tokens_per_s": speed.decode_tokens_per_s,
        "interval_90": {
            "prefill": list(speed.prefill_interval_90) if speed.prefill_interval_90 else None,
            "decode": list(speed.decode_interval_90) if speed.decode_interval_90 else None,
        },
        "bound_by": speed.bound_by,
        "untested": list(speed.untested),
        "slots": _slots_json(speed.slots) if speed.slots else None,
    }


def inputs_json(inputs: InputEstimate | None) -> dict[str, Any] | None:
    """Inputs of embeddings; tokens, bytes and tokens per second."""
    return asdict(inputs) if inputs else None


def _slots_json(slots: SlotsSpeed) -> dict[str, Any]:
    interval = slots.decode_interval_90
    return {
        "n_slots": slots.n_slots,
        "n_depth": slots.n_depth,
        "decode_tokens_per_s": slots.decode_tokens_per_s,
        "interval_90": list(interval) if interval else None,
    }


def refusal_json(model: str, config: RunConfig, reason: str) -> dict[str, Any]:
    """The answer for a configuration that the model cannot have: why, in one sentence."""
    return {"model": model, "config": config.to_dict(), "error": reason}


def warnings(prediction: Prediction) -> tuple[str, ...]:
    """The prediction's and its memory's warnings, each once."""
    return tuple(dict.fromkeys((*prediction.warnings, *prediction.memory.warnings)))


def devices_table(prediction: Prediction) -> Table:
    """What one configuration takes: a row for each component that anything has, those of what rides
    along by its name, a column for each device."""
    devices, none = prediction.memory.devices, DeviceMemory()
    rows = [
        (
            Cell(label if context == TARGET else f"{context} {label}"),
            *(
                number(getattr(parts.get(device, none), name) or None, digits=2, unit=MIB)
                for device in devices
            ),
        )
        for context, parts in (prediction.memory.contexts or {TARGET: devices}).items()
        for name, label in COMPONENTS.items()
    ]
    shown = [row for row in rows if any(cell.text != NOT_MEASURED for cell in row[1:])]
    total = (
        Cell("total"),
        *(number(memory.total_bytes, digits=2, unit=MIB) for memory in devices.values()),
    )
    return Table(caption=f"{prediction.model} (MiB)", columns=("", *devices), rows=(*shown, total))


def summary_lines(prediction: Prediction) -> list[str]:
    """What follows from one configuration, a sentence each."""
    total = mib(prediction.memory.total_vram_bytes)
    lines = [f"VRAM: {total}" + ("" if prediction.fits is None else f", {_fits(prediction)}")]
    if len(prediction.cards) > 1:
        lines += map(_card_line, prediction.cards)
    lines.append(host_paragraph(prediction.host, prediction.config))
    if prediction.max_context is not None:
        lines.append(f"largest n_ctx that fits (even odds): {count(prediction.max_context)}")
    if prediction.speed:
        lines += _speed_lines(prediction.speed, prediction.config)
    elif prediction.speed_reason:
        lines.append(f"no speed: {prediction.speed_reason}")
    if prediction.inputs:
        lines += input_sentences(prediction.inputs)
    lines.append(trust_sentence(prediction.memory.trust))
    return lines + [f"note: {warning}" for warning in warnings(prediction)]


def _card_line(card: CardFit) -> str:
    """One of several cards against its own memory."""
    name = f" ({card.name})" if card.name else ""
    left = f"{mib(abs(card.margin_bytes))} {'left' if card.margin_bytes >= 0 else 'short'}"
    chance = "" if card.fit_probability is None else f" ({likely(card.fit_probability)})"
    return (
        f"{card.device}{name}: {mib(card.memory_bytes - card.margin_bytes)} of "
        f"{mib(card.memory_bytes)}, {left}{chance}"
    )


def _speed_lines(speed: SpeedEstimate, config: RunConfig) -> Iterator[str]:
    """Prefill and decode, of one sequence unless several were asked for, and of all slots where
    there are several."""
    depth, n_parallel = f"at depth {count(config.n_depth)}", config.n_parallel
    each = (
        f" of {n_parallel} sequences together"
        if n_parallel > 1
        else " of one slot"
        if speed.slots
        else ""
    )
    yield f"prefill {depth}: {_rate(speed.prefill_tokens_per_s, speed.prefill_interval_90)}"
    yield f"decode{each} {depth}: {_rate(speed.decode_tokens_per_s, speed.decode_interval_90)}"
    if (slots := speed.slots) and slots.n_slots != n_parallel:
        together = _rate(slots.decode_tokens_per_s, slots.decode_interval_90)
        yield (
            f"decode of all {slots.n_slots} slots together, each at depth {count(slots.n_depth)}: "
            f"{together}"
        )
    if speed.bound_by:
        yield f"limited by: {_limits(speed.bound_by)}"


def _limits(bound_by: str) -> str:
    """`prefill: compute; decode: kernels` as words."""
    parts = (part.partition(": ") for part in bound_by.split("; "))
    return ", ".join(f"{what} in {when}" for when, _, what in parts)


def citation_lines(citations: Sequence["Citation"]) -> list[str]:
    """What was measured of the same model, settings and card: one sentence per run, the newest
    few."""
    lines = []
    for each in citations[:MOST_CITED]:
        told = [f"{mib(each.vram_bytes)}" if each.vram_bytes is not None else ""]
        for name, found in (("prefill", each.prefill), ("decode", each.decode)):
            told.append(
                f"{name} {rate(found[1])} tokens/s at depth {count(found[0])}" if found else ""
            )
        where = f"at n_ctx {count(each.n_ctx)} " if each.vram_bytes is None else ""
        lines.append(
            f"measured on {each.card} {where}on {each.day}: {', '.join(filter(None, told))}"
        )
    return lines


def citations_json(citations: Sequence["Citation"]) -> list[dict[str, Any]]:
    """The same for programs; a rate as `[n_depth, tokens_per_s]`."""
    return [asdict(each) for each in citations]


def grid_table(
    model: str, knobs: Sequence[str], answers: Sequence[tuple[RunConfig, Answer]]
) -> Table:
    """Many configurations, a row each; `knobs` are those that differ among them."""
    rows = tuple(
        (*(_knob(config, knob) for knob in knobs), *_outcome(answer)) for config, answer in answers
    )
    return Table(caption=model, columns=(*knobs, *_OUTCOME_COLUMNS), rows=rows)


_OUTCOME_COLUMNS: Final = (
    "VRAM MiB",
    "KV MiB",
    "compute MiB",
    "host MiB",
    "fits",
    "max n_ctx",
    "prefill t/s",
    "decode t/s",
)


def _outcome(answer: Answer) -> tuple[Cell, ...]:
    if isinstance(answer, str):
        return tuple(
            Cell("refused" if name == "fits" else NOT_MEASURED) for name in _OUTCOME_COLUMNS
        )
    memory, speed = answer.memory, answer.speed
    on_cards = [part for name, part in memory.devices.items() if is_card(name)]
    host = sum(part.total_bytes for name, part in memory.devices.items() if not is_card(name))
    return (
        number(memory.total_vram_bytes, unit=MIB),
        number(sum(part.kv_cache_bytes for part in on_cards), unit=MIB),
        number(sum(part.compute_bytes for part in on_cards), unit=MIB),
        number(host, unit=MIB),
        Cell(_verdict(answer)),
        number(answer.max_context),
        Cell(rate(speed.prefill_tokens_per_s), speed.prefill_tokens_per_s)
        if speed
        else Cell(NOT_MEASURED),
        Cell(rate(speed.decode_tokens_per_s), speed.decode_tokens_per_s)
        if speed
        else Cell(NOT_MEASURED),
    )


def _knob(config: RunConfig, knob: str) -> Cell:
    value = getattr(config, knob)
    if isinstance(value, int) and not isinstance(value, bool):
        return Cell(count(value), value)
    return Cell(NOT_MEASURED if value is None else str(value))


def _verdict(prediction: Prediction) -> str:
    """`yes`, `no` or nothing known, with how likely it is to fit."""
    if prediction.fits is None:
        return NOT_MEASURED
    probability = prediction.fit_probability
    chance = "" if probability is None else f" ({likely(probability).removesuffix(' likely')})"
    return ("yes" if prediction.fits else "no") + chance


def _fits(prediction: Prediction) -> str:
    if prediction.refused:
        return "but llama.cpp refuses it"
    verdict = "fits" if prediction.fits else "does not fit"
    return (
        verdict
        if prediction.fit_probability is None
        else f"{verdict} ({likely(prediction.fit_probability)})"
    )


def _rate(per_second: float, interval: tuple[float, float] | None) -> str:
    reach = f" (90 %: {rate(interval[0])} to {rate(interval[1])})" if interval else ""
    return f"{rate(per_second)} tokens/s{reach}"


def differing_knobs(configs: Sequence[RunConfig]) -> list[str]:
    """The knobs that are not the same in all of `configs`."""
    spelled: list[Mapping[str, Any]] = [config.to_dict() for config in configs]
    knobs = dict.fromkeys(knob for config in spelled for knob in config)
    return [
        knob for knob in knobs if any(other.get(knob) != spelled[0].get(knob) for other in spelled)
    ]
