"""Tokens per second of a model on a card, a CPU or both, with 90 % intervals.

The front of the speed model: it takes what the memory model makes of a configuration, counts the
work (`work`), lets `speed_decode`, `speed_prefill` and `speed_host` turn it into seconds, and adds
how far to believe the figure. Depth is llama-bench's: how many cells each sequence that decodes has
filled.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.buffers import Setup
from oomph.estimate.card import CardTraits, card_facts
from oomph.estimate.coefficients import Coefficients
from oomph.estimate.machine import LINUX, Machine
from oomph.estimate.memory import MemoryModel
from oomph.estimate.posterior import prediction_sd
from oomph.estimate.prediction import MemoryEstimate, SlotsSpeed, SpeedEstimate
from oomph.estimate.speed_decode import Values, decode_terms
from oomph.estimate.speed_host import host_decode_terms, host_prefill_terms, host_values
from oomph.estimate.speed_prefill import compute_seconds, prefill_terms
from oomph.estimate.tested import WIDER_UNTESTED, untested
from oomph.estimate.work import Work, forward_work
from oomph.frozen import frozen
from oomph.gpus import GpuSpec
from oomph.units import count

NEWEST_YEAR: Final = 2026.7
"""The build that is answered for where none is named: the newest llama.cpp of which speeds are
known (b10809)."""

WIDER_EACH_DOUBLING: Final = 0.25
"""How much wider an interval gets with each doubling of the depth beyond the deepest measured one.
"""

SMALL_UBATCH: Final = 128
"""Below so many tokens a micro-batch's experts are multiplied by other kernels, and predictions are
worse."""
ON_HOST: Final = "with the host"


@frozen
class SpeedQuestion:
    """What is asked: facts only, ready to be evaluated with any coefficients.

    `flash` is whether attention is fused, as the memory model resolves it. `spilled_share` is the
    share of the cards' weights that is read over the bus. `build_year` dates llama.cpp. `card` has
    the work of all cards like it; `further` are the shares of other kinds, one after the other:
    what passes between cards is not counted.
    """

    model: str
    card: CardTraits | None
    on_card: Work
    on_host: Work
    config: RunConfig
    flash: bool
    build_year: float
    spilled_share: float = 0.0
    host_bandwidth_bytes_per_s: float | None = None
    further: "tuple[SpeedQuestion, ...]" = ()

    @property
    def is_moe(self) -> bool:
        """Whether the model routes tokens to experts."""
        return bool(self.on_card.expert_share)

    def group(self, test: str) -> str:
        """`decode dense`, `prefill MoE` …: what errors and intervals are kept apart by."""
        if self.card and not self.on_host.is_idle:
            return f"{test} {ON_HOST}"
        few = test == "prefill" and self.is_moe and self.config.n_ubatch < SMALL_UBATCH
        return f"{test} {'MoE' if self.is_moe else 'dense'}{', small micro-batches' if few else ''}"


def speed_question(
    spec: ModelSpec,
    gpu: GpuSpec | None,
    config: RunConfig,
    build_year: float | None = None,
    *,
    setup: Setup | None = None,
    work: tuple[Work, Work] | None = None,
    spilled: float = 0.0,
    machine: Machine = LINUX,
) -> SpeedQuestion:
    """The facts of a prediction. `build_year` None is `NEWEST_YEAR`'s.

    `setup` is the memory model's and `work` `forward_work`'s, where they are known; `spilled` is
    `spilled_share`'s.
    """
    if gpu is None:
        config = config.with_(n_devices=0)
    if setup is None:
        setup = MemoryModel(spec).setup(config)
    on_card, on_host = work or forward_work(spec, setup)
    return SpeedQuestion(
        model=spec.name,
        card=card_facts(gpu, machine) if gpu else None,
        on_card=on_card,
        on_host=on_host,
        config=config,
        flash=setup.cache.flash_attn,
        build_year=NEWEST_YEAR if build_year is None else build_year,
        spilled_share=spilled,
        host_bandwidth_bytes_per_s=machine.host_bandwidth_bytes_per_s,
    )


def decode_seconds(question: SpeedQuestion, values: Values, *, n_depth: float) -> float:
    """Seconds of one decoding step of all sequences."""
    return sum(decode_breakdown(question, values, n_depth=n_depth).values())


def prefill_seconds(
    question: SpeedQuestion, values: Values, *, n_prompt: int, n_depth: float
) -> float:
    """Seconds of `n_prompt` tokens after `n_depth` cells."""
    return sum(prefill_breakdown(question, values, n_prompt=n_prompt, n_depth=n_depth).values())


def decode_breakdown(
    question: SpeedQuestion, values: Values, *, n_depth: float
) -> dict[str, float]:
    """Seconds of one decoding step of `n_parallel` sequences by what takes them."""
    config, work = question.config, question.on_card
    terms: dict[str, float] = {}
    if question.card and not work.is_idle:
        terms |= decode_terms(
            question.card,
            work,
            values,
            n_depth=n_depth,
            n_parallel=config.n_parallel,
            flash=question.flash,
            build_year=question.build_year,
        )
        if question.spilled_share:
            n_bytes = work.weight_bytes(config.n_parallel) * question.spilled_share
            terms["memory spilled to the host"] = n_bytes / values["host.pcie_bytes_per_s"]
    host = _host_values(question, values)
    return terms | host_decode_terms(
        question.on_host,
        host,
        n_depth=n_depth,
        n_parallel=config.n_parallel,
        has_card=question.card is not None,
    )


def prefill_breakdown(
    question: SpeedQuestion, values: Values, *, n_prompt: int, n_depth: float
) -> dict[str, float]:
    """Seconds of `n_prompt` tokens that follow `n_depth` cells by what takes them."""
    config, work = question.config, question.on_card
    n_ubatch = min(config.n_ubatch, config.n_batch)
    n = min(n_ubatch, n_prompt)
    terms: dict[str, float] = {}
    on_card_s = None
    if question.card and not work.is_idle:
        terms |= prefill_terms(
            question.card,
            work,
            values,
            n_prompt=n_prompt,
            n_depth=n_depth,
            n_ubatch=n_ubatch,
            flash=question.flash,
            build_year=question.build_year,
        )
        if question.spilled_share:
            n_bytes = work.weight_bytes(n) * question.spilled_share * -(-n_prompt // n)
            terms["memory spilled to the host"] = n_bytes / values["host.pcie_bytes_per_s"]
    if question.card and not question.on_host.is_idle:
        on_card_s = compute_seconds(
            question.card, question.on_host, values, n=n, build_year=question.build_year
        )
    host = host_prefill_terms(
        question.on_host,
        _host_values(question, values),
        n_prompt=n_prompt,
        n_depth=n_depth,
        n_ubatch=n_ubatch,
        op_offload=config.op_offload,
        card_compute_s=on_card_s,
    )
    return {name: terms.get(name, 0.0) + host.get(name, 0.0) for name in {**terms, **host}}


def _host_values(question: SpeedQuestion, values: Values) -> Values:
    if question.on_host.is_idle:
        return values
    bus_share = question.card.bus_share if question.card else 1.0
    return host_values(values, question.host_bandwidth_bytes_per_s, bus_share)


def spilled_share(memory: MemoryEstimate, memory_bytes: Mapping[str, int]) -> float:
    """Share of the weights on these cards that is beyond the memory of each: what unified memory
    then reads over the bus."""
    cards = [(memory.devices[name], n_bytes) for name, n_bytes in memory_bytes.items()]
    weights = sum(device.weights_bytes for device, _ in cards)
    excess = sum(max(device.total_bytes - n_bytes, 0) for device, n_bytes in cards)
    return min(excess / weights, 1.0) if weights else 0.0


def check_depth(config: RunConfig) -> None:
    """ConfigError for an `n_depth` that a sequence cannot have filled."""
    if config.n_depth <= config.deepest:
        return
    held = f"the context holds {count(config.n_ctx)} tokens"
    if config.deepest < config.n_ctx:
        shared = config.n_parallel if config.kv_unified else config.n_seq_max
        held = (
            f"each of {shared} sequences has {count(config.deepest)} of the {count(config.n_ctx)} "
            "tokens of n_ctx"
        )
    raise ConfigError(
        f"n_depth is {count(config.n_depth)}, but {held}; ask for a depth within, or raise n_ctx"
    )


def prompt_around(config: RunConfig) -> tuple[int, int]:
    """The prompt whose speed is quoted for a configuration: (n_prompt, cells before it).

    It is one full micro-batch with `n_depth` in its middle, moved to lie within what a sequence
    holds: at depth 0 the first one into an empty cache (llama-bench's pp512 for the default
    n_ubatch), at the end of the context the last.
    """
    deepest = max(config.deepest, 1)
    n_prompt = min(config.n_ubatch, config.n_batch, deepest)
    return n_prompt, min(max(config.n_depth - n_prompt // 2, 0), deepest - n_prompt)


def predict_speed(question: SpeedQuestion, coefficients: Coefficients) -> SpeedEstimate:
    """Prefill and decode at the configuration's `n_depth`, with 90 % intervals and what binds.

    Decode is of `n_parallel` sequences together; of all `n_seq_max` together besides, where there
    are several.
    """
    config = question.config
    n_prompt, before = prompt_around(config)
    decode = _decode(question, coefficients, n_depth=config.n_depth)
    prefill = _added(
        prefill_breakdown(each, _values(each, coefficients), n_prompt=n_prompt, n_depth=before)
        for each in _stages(question)
    )
    decode_rate, prefill_rate = (
        config.n_parallel / sum(decode.values()),
        n_prompt / sum(prefill.values()),
    )
    prefill_width = _width(question, coefficients, "prefill", n_prompt=n_prompt, n_depth=before)
    decode_width = _width(question, coefficients, "decode", n_prompt=1, n_depth=config.n_depth)
    return SpeedEstimate(
        prefill_tokens_per_s=prefill_rate,
        decode_tokens_per_s=decode_rate,
        prefill_interval_90=_interval(prefill_rate, prefill_width),
        decode_interval_90=_interval(decode_rate, decode_width),
        bound_by=f"prefill: {_largest(prefill)}; decode: {_largest(decode)}",
        untested=tuple(
            each
            for test in ("prefill", "decode")
            for stage in _stages(question)
            for each in _untested(stage, coefficients, test)
        ),
        slots=_slots_speed(question, coefficients) if config.n_seq_max > 1 else None,
    )


def predict_input_speed(
    question: SpeedQuestion, coefficients: Coefficients, *, n_tokens: int, is_causal: bool
) -> tuple[float, tuple[float, float] | None]:
    """Tokens per second of inputs of `n_tokens`, each by itself, with its 90 % interval.

    Each token of an encoder looks at all of its input, which is as a causal one of a prompt looks
    where half as many tokens lie before it. No encoder was measured: the interval is of what rests
    on formulas.
    """
    before = 0 if is_causal else n_tokens // 2
    terms = _added(
        prefill_breakdown(each, _values(each, coefficients), n_prompt=n_tokens, n_depth=before)
        for each in _stages(question)
    )
    width = _width(question, coefficients, "prefill", n_prompt=n_tokens, n_depth=before)
    if width is not None and not is_causal:
        width *= WIDER_UNTESTED
    rate = n_tokens / sum(terms.values())
    return rate, _interval(rate, width)


def _stages(question: SpeedQuestion) -> tuple[SpeedQuestion, ...]:
    """Every kind of card with its share of the work, the host's with the first."""
    return (question, *question.further)


def _values(question: SpeedQuestion, coefficients: Coefficients) -> Values:
    return coefficients.for_card(question.card.name) if question.card else coefficients.values


def _decode(
    question: SpeedQuestion, coefficients: Coefficients, *, n_depth: float
) -> dict[str, float]:
    """Seconds of one step by what takes them, on all cards one after the other."""
    return _added(
        decode_breakdown(each, _values(each, coefficients), n_depth=n_depth)
        for each in _stages(question)
    )


def _added(stages: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for terms in stages:
        for name, seconds in terms.items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def _width(
    question: SpeedQuestion, coefficients: Coefficients, test: str, *, n_prompt: int, n_depth: float
) -> float | None:
    """That of the kind of card that least is known of: what is wrong about one card's rates is
    likely wrong about another's."""
    widths = [
        interval_width(each, coefficients, test, n_prompt=n_prompt, n_depth=n_depth)
        for each in _stages(question)
    ]
    known = [width for width in widths if width is not None]
    return max(known) if len(known) == len(widths) else None


def _slots_speed(question: SpeedQuestion, coefficients: Coefficients) -> SlotsSpeed:
    """All sequences decoding at once, each as deep as was asked, or as its share of a unified cache
    allows."""
    config = question.config.with_(n_parallel=question.config.n_seq_max)
    n_slots, n_depth = config.n_seq_max, min(config.n_depth, config.deepest)
    together = replace(
        question,
        config=config,
        further=tuple(replace(each, config=config) for each in question.further),
    )
    rate = n_slots / sum(_decode(together, coefficients, n_depth=n_depth).values())
    width = _width(together, coefficients, "decode", n_prompt=1, n_depth=n_depth)
    return SlotsSpeed(
        n_slots=n_slots,
        n_depth=n_depth,
        decode_tokens_per_s=rate,
        decode_interval_90=_interval(rate, width),
    )


def interval_width(
    question: SpeedQuestion, coefficients: Coefficients, test: str, *, n_prompt: int, n_depth: float
) -> float | None:
    """Half width of the 90 % interval as a logarithm; None where nothing of the kind was held out.

    A calibration knows it of its own coefficients. Else it depends on what was measured: the model
    on this card, the model elsewhere, other models alone; and it grows with each doubling of the
    depth beyond what was measured.
    """
    group = question.group(test)
    posterior = coefficients.posterior
    card = question.card.name if question.card else ""
    if posterior is not None and posterior.card == card and group in posterior.scales:
        values = coefficients.for_card(card)
        return posterior.scales[group] * prediction_sd(
            posterior,
            test,
            values,
            lambda at: _seconds(question, at, test, n_prompt=n_prompt, n_depth=n_depth),
        )
    widths = coefficients.interval_widths.get(group, {})
    if question.card is None:
        known = "host"
    elif not question.on_host.is_idle:
        known = "host" if question.host_bandwidth_bytes_per_s is None else "told RAM"
    else:
        known = _known(question.model, coefficients.seen, question.card.name)
    width = widths.get(known)
    if width is not None and _untested(question, coefficients, test):
        width = width * WIDER_UNTESTED
    deepest = coefficients.covered.get("n_depth", (0, math.inf))[1]
    if width is None or n_depth <= max(deepest, 1):
        return width
    return width * (1 + WIDER_EACH_DOUBLING * math.log2(n_depth / max(deepest, 1)))


def _seconds(
    question: SpeedQuestion, values: Values, test: str, *, n_prompt: int, n_depth: float
) -> float:
    if test == "decode":
        return decode_seconds(question, values, n_depth=n_depth)
    return prefill_seconds(question, values, n_prompt=n_prompt, n_depth=n_depth)


def _untested(question: SpeedQuestion, coefficients: Coefficients, test: str) -> tuple[str, ...]:
    """What was asked of the card and no row had; a calibrated machine was measured itself."""
    if question.card is None or question.on_card.is_idle or coefficients.calibrated_on:
        return ()
    return untested(question.card, question.on_card, test, coefficients.tested)


def _known(model: str, seen: Mapping[str, tuple[str, ...]], card: str) -> str:
    if model in seen.get(card, ()):
        return "model on card"
    return "model elsewhere" if any(model in models for models in seen.values()) else "new model"


def _interval(rate: float, width: float | None) -> tuple[float, float] | None:
    return None if width is None else (rate * math.exp(-width), rate * math.exp(width))


def _largest(terms: Mapping[str, float]) -> str:
    return max(terms, key=lambda name: terms[name])
