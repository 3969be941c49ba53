"""What each layer weighs and takes, wherever it is put: bytes, and seconds on each card.

Takes a configuration and gives numbers that a search can add up. Compute buffers are not in them:
they belong to no layer.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, cast, get_args

from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.compute import Setup
from oomph.estimate.estimator import Estimator
from oomph.estimate.graph.placement import Placement
from oomph.estimate.memory import kv_cache_bytes, recurrent_bytes, weight_bytes
from oomph.estimate.prediction import is_card
from oomph.estimate.speed import (
    SpeedQuestion,
    decode_seconds,
    prefill_seconds,
    prompt_around,
    speed_question,
)
from oomph.estimate.work import Work, works_by
from oomph.gpus import GpuSpec

Goal = Literal["decode", "prefill", "context"]
"""What a placement is the best for: tokens per second of an answer, those of a prompt, or tokens of
context."""

GOALS: Final = get_args(Goal)
_EXPERTS: Final = re.compile(r"blk\.[0-9]{1,4}\.ffn_(up|down|gate|gate_up)_(?:ch|)exps")
_NOTHING: Final = 1e-6
"""Bytes and products of a layer that has none, whose time is what any layer takes besides."""
_UNTIMED: Final = {True: 1e-12, False: 2e-11}
"""Seconds of a byte that is read, on a card, and on the host, where no speed is known: only their
order counts."""


def checked_goal(text: str | None) -> Goal | None:
    """The goal of that name, None for none; ConfigError with the names there are."""
    if text is not None and text not in GOALS:
        raise ConfigError(f"--for is {text[:60]!r}; it is one of {', '.join(GOALS)}")
    return cast("Goal | None", text)


@dataclass(frozen=True, slots=True)
class Costs:
    """By layer, the output last: of all but the experts, and of each of the experts' matrices by
    its name (`up`, `down`, `gate`, `gate_up`)."""

    fixed: Sequence[float]
    pieces: Sequence[Mapping[str, float]]

    def experts(self, il: int) -> float:
        """Of all the experts of a layer."""
        return sum(self.pieces[il].values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Bytes of each layer, and seconds that it adds to a decoding step, or to a micro-batch of a
    prompt: on each kind of card (None is one without a data sheet), and on the host."""

    config: RunConfig
    n_bytes: Costs
    on_card: Mapping[GpuSpec | None, Costs]
    on_host: Costs


def is_expert(name: str) -> bool:
    """Whether a tensor is one of the matrices that n_cpu_moe leaves on the host."""
    return _EXPERTS.match(name) is not None


class _Apart(Placement):
    """Every layer on a card of its own, and each of its experts' matrices on another."""

    def layer(self, il: int) -> str:
        """`CUDA7` for layer 7."""
        return f"CUDA{il}"

    def weight(self, name: str, il: int | None = None) -> str:
        """`CUDA7/up` for an expert matrix of layer 7 that no override has placed."""
        home = super().weight(name, il)
        expert = _EXPERTS.match(name)
        return f"{home}/{expert[1]}" if expert and is_card(home) else home


def parts_of(estimator: Estimator, config: RunConfig, goal: Goal) -> Parts:
    """The parts of `config`'s model; what its overrides put on the host is not among them."""
    setup = _apart(estimator, config)
    n_layers = setup.hparams.n_layer_all
    sizes = weight_bytes(estimator.model, setup) + _cache_bytes(setup)
    works = works_by(estimator.model, setup, str)
    experts = [
        [piece for piece in ("up", "down", "gate", "gate_up") if f"CUDA{il}/{piece}" in sizes]
        for il in range(n_layers + 1)
    ]

    used, n_experts = setup.hparams.n_expert_used, estimator.model.n_expert
    share_read = used / n_experts if n_experts else 1.0

    def costs(of: Callable[[str], float]) -> Costs:
        return Costs(
            [of(f"CUDA{il}") for il in range(n_layers + 1)],
            [
                {piece: of(f"CUDA{il}/{piece}") for piece in names}
                for il, names in enumerate(experts)
            ],
        )

    def timed(gpu: GpuSpec | None, *, on_card: bool) -> Costs:
        if gpu is None:
            return costs(
                lambda device: (
                    sizes.get(device, 0)
                    * _UNTIMED[on_card]
                    * (share_read if "/" in device else 1.0)
                )
            )
        question = speed_question(
            estimator.model,
            gpu,
            config,
            estimator.question(config).build_year,
            setup=setup,
            work=(Work(), Work()),
            machine=estimator.machine,
        )
        seconds = _clock(estimator, question, goal, on_card=on_card)
        return costs(lambda device: seconds(works[device]) if device in works else 0.0)

    cards = [card.spec for card in estimator.cards_in(config).values()]
    kinds = cards if all(cards) else [None]
    return Parts(
        config=config,
        n_bytes=costs(lambda device: sizes.get(device, 0)),
        on_card={gpu: timed(gpu, on_card=True) for gpu in dict.fromkeys(kinds)},
        on_host=timed(kinds[0], on_card=False),
    )


def with_caches_of(parts: Parts, estimator: Estimator, config: RunConfig) -> Parts:
    """The parts with `config`'s context, their seconds left as they are."""
    own, other = (_cache_bytes(_apart(estimator, each)) for each in (parts.config, config))
    grown = [other[f"CUDA{il}"] - own[f"CUDA{il}"] for il in range(len(parts.n_bytes.fixed))]
    fixed = [n + more for n, more in zip(parts.n_bytes.fixed, grown, strict=True)]
    return replace(parts, config=config, n_bytes=replace(parts.n_bytes, fixed=fixed))


def _apart(estimator: Estimator, config: RunConfig) -> Setup:
    """`config` resolved, with every layer by itself."""
    setup = estimator.setup(config)
    alone = config.with_(n_gpu_layers=-1, tensor_split=None, split_mode="layer")
    return replace(setup, placement=_Apart(alone, setup.hparams.n_layer_all), slices=None)


def _cache_bytes(setup: Setup) -> Counter[str]:
    return kv_cache_bytes(setup) + recurrent_bytes(setup)


def _clock(
    estimator: Estimator, question: SpeedQuestion, goal: Goal, *, on_card: bool
) -> Callable[[Work], float]:
    """Seconds that a share of the work adds on the card of `question`, or on the host beside it."""
    values = (estimator.coefficients or default_coefficients()).for_card(_name(question))
    deepest = question.config.deepest
    n_prompt, before = prompt_around(question.config.with_(n_depth=deepest // 2))

    def seconds(work: Work) -> float:
        work = replace(work, n_vocab=0)
        asked = replace(question, on_card=work) if on_card else replace(question, on_host=work)
        if goal == "prefill":
            return prefill_seconds(asked, values, n_prompt=n_prompt, n_depth=before)
        return decode_seconds(asked, values, n_depth=deepest)

    nothing = {"q8_0": _NOTHING}
    besides = seconds(Work(dense_bytes=nothing, dense_flops=nothing, inner_sizes=nothing))
    return lambda work: 0.0 if work.is_idle else max(seconds(work) - besides, 0.0)


def _name(question: SpeedQuestion) -> str:
    return question.card.name if question.card else ""
