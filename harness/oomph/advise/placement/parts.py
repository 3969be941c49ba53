"""What each layer weighs and takes, wherever it is put: bytes, and seconds on each card.

Takes a configuration and gives numbers that a search can add up. Compute buffers are not in them:
they belong to no layer.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache, cached_property
from typing import Final, Literal, cast, get_args

from oomph.advise.quantizations import are_one_model
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.buffers import Setup
from oomph.estimate.build import build_year
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.graph.placement import Placement, placing_knobs
from oomph.estimate.graph.sizes import Sizes, resolve_sizes
from oomph.estimate.memory import (
    CacheRow,
    WeightHomes,
    bytes_at_homes,
    cache_rows,
    recurrent_bytes,
    row_bytes,
    weight_homes,
)
from oomph.estimate.prediction import is_card
from oomph.estimate.speed import (
    SpeedQuestion,
    decode_seconds,
    prefill_seconds,
    prompt_around,
    speed_question,
)
from oomph.estimate.work import Work, work_key
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

Goal = Literal["decode", "prefill", "context"]
"""What a placement is the best for: tokens per second of an answer, those of a prompt, or tokens of
context."""

GOALS: Final = get_args(Goal)
_EXPERTS: Final = re.compile(r"blk\.[0-9]{1,4}\.ffn_(up|down|gate|gate_up)_(?:ch|)exps")
_WORK_FIELDS: Final = tuple(field.name for field in fields(Work))
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


@frozen
class Costs:
    """By layer, the output last: of all but the experts, and of each of the experts' matrices by
    its name (`up`, `down`, `gate`, `gate_up`)."""

    fixed: Sequence[float]
    pieces: Sequence[Mapping[str, float]]

    def experts(self, il: int) -> float:
        """Of all the experts of a layer."""
        return sum(self.pieces[il].values())


@frozen
class Times:
    """Seconds that each layer adds to a decoding step, or to a micro-batch of a prompt: on each
    kind of card (None is one without a data sheet), and on the host."""

    on_card: Mapping[GpuSpec | None, Costs]
    on_host: Costs


class Parts:
    """Bytes of each layer, and the seconds that it takes, which are counted when they are first
    asked for, on each of the `kinds` of cards (None is one without a data sheet)."""

    def __init__(
        self, n_bytes: Costs, kinds: Collection[GpuSpec | None], timed: Callable[[], Times]
    ) -> None:
        self.n_bytes, self.kinds, self._timed = n_bytes, kinds, timed

    @cached_property
    def times(self) -> Times:
        """The seconds of each layer."""
        return self._timed()


def is_expert(name: str) -> bool:
    """Whether a tensor is one of the matrices that n_cpu_moe leaves on the host."""
    return _EXPERTS.match(name) is not None


class _Apart(Placement):
    """Every layer on a card of its own, and each of its experts' matrices on another."""

    def layer(self, il: int) -> str:
        """`CUDA7` for layer 7."""
        return f"CUDA{il}"

    def _home(self, name: str, il: int | None) -> str:
        """`CUDA7/up` for an expert matrix of layer 7 that no override has placed."""
        home = super()._home(name, il)
        expert = _EXPERTS.match(name)
        return f"{home}/{expert[1]}" if expert and is_card(home) else home


class LayerParts:
    """The parts of one estimator's model under any configuration; what its overrides put on the
    host is not among them. What is counted for one is kept for the next, and for another
    quantization what does not depend on weights' types, where that is given as `like`."""

    def __init__(self, estimator: Estimator, like: "LayerParts | None" = None) -> None:
        self._estimator = estimator
        self._homes: dict[object, WeightHomes] = {}
        self._caches: dict[object, LayerCaches] = {}
        if like is not None and are_one_model(estimator.model, like._estimator.model):
            self._homes, self._caches = like._homes, like._caches
        self._weights: dict[object, Counter[str]] = {}
        self._fixed: dict[RunConfig, Callable[[int], list[int]]] = {}
        self._shares: dict[object, _Shares] = {}
        self._apart_by: dict[object, _Apart] = {}
        self._parts: dict[tuple[RunConfig, Goal], Parts] = {}

    def of(self, config: RunConfig, goal: Goal) -> Parts:
        """The parts of `config`, with the seconds that count for `goal`."""
        key = config, goal
        if key not in self._parts:
            setup = self._apart(config)
            sizes = self._weights_of(setup) + recurrent_bytes(setup)
            for il, more in enumerate(self._caches_of(setup).at(setup.sizes)):
                sizes[f"CUDA{il}"] += more
            names = _experts(sizes, setup.hparams.n_layer_all)
            n_bytes = _costs(names, lambda device: sizes.get(device, 0))
            kinds = _kinds(self._estimator, config)
            self._parts[key] = Parts(
                n_bytes, kinds, lambda: self._times(config, goal, kinds, sizes, names)
            )
        return self._parts[key]

    def fixed_bytes(self, config: RunConfig) -> Callable[[int], list[int]]:
        """What of a layer is not experts, by layer, at any context of `config`."""
        if config not in self._fixed:
            self._fixed[config] = self._fixed_bytes(config)
        return self._fixed[config]

    def _fixed_bytes(self, config: RunConfig) -> Callable[[int], list[int]]:
        setup = self._apart(config)
        weights, caches = self._weights_of(setup), self._caches_of(setup)
        states = recurrent_bytes(setup)
        devices = [f"CUDA{il}" for il in range(setup.hparams.n_layer_all + 1)]
        constant = [weights[device] + states[device] for device in devices]

        @cache
        def at(n_ctx: int) -> list[int]:
            sizes = resolve_sizes(config, setup.hparams, context=n_ctx)
            return [n + more for n, more in zip(constant, caches.at(sizes), strict=True)]

        return at

    def _times(
        self,
        config: RunConfig,
        goal: Goal,
        kinds: Sequence[GpuSpec | None],
        sizes: Mapping[str, int],
        experts: Sequence[Sequence[str]],
    ) -> Times:
        estimator = self._estimator
        setup = self._apart(config)
        used, n_experts = setup.hparams.n_expert_used, estimator.model.n_expert
        share_read = used / n_experts if n_experts else 1.0
        shares = self._shares_of(setup) if all(kinds) else _Shares(alike={}, works=[])

        def timed(gpu: GpuSpec | None, *, on_card: bool) -> Costs:
            if gpu is None:
                return _costs(
                    experts,
                    lambda device: (
                        sizes.get(device, 0)
                        * _UNTIMED[on_card]
                        * (share_read if "/" in device else 1.0)
                    ),
                )
            question = speed_question(
                estimator.model,
                gpu,
                config,
                None if estimator.build is None else build_year(estimator.build),
                setup=setup,
                work=(Work(), Work()),
                machine=estimator.machine,
            )
            clock = _clock(estimator, question, goal, on_card=on_card)
            seconds = [clock(work) for work in shares.works]
            return _costs(
                experts,
                lambda device: seconds[shares.alike[device]] if device in shares.alike else 0.0,
            )

        return Times(
            on_card={gpu: timed(gpu, on_card=True) for gpu in kinds},
            on_host=timed(kinds[0], on_card=False),
        )

    def _apart(self, config: RunConfig) -> Setup:
        """`config` resolved, with every layer by itself."""
        setup = self._estimator.setup(config)
        alone = config.with_(n_gpu_layers=-1, tensor_split=None, split_mode="layer")
        knobs = placing_knobs(alone)
        if knobs not in self._apart_by:
            self._apart_by[knobs] = _Apart(alone, setup.hparams.n_layer_all)
        return replace(setup, placement=self._apart_by[knobs], slices=None)

    def _shares_of(self, setup: Setup) -> "_Shares":
        key = work_key(setup)
        if key not in self._shares:
            self._shares[key] = _shares(self._estimator.work.by(setup, str))
        return self._shares[key]

    def _weights_of(self, setup: Setup) -> Counter[str]:
        key = setup.placement.key
        if key not in self._weights:
            model = self._estimator.model
            if key not in self._homes:
                self._homes[key] = weight_homes(model, setup)
            self._weights[key] = bytes_at_homes(model, setup, self._homes[key])
        return self._weights[key]

    def _caches_of(self, setup: Setup) -> "LayerCaches":
        key = setup.placement.key, setup.cache, setup.hparams.key
        if key not in self._caches:
            self._caches[key] = LayerCaches(setup)
        return self._caches[key]


class LayerCaches:
    """What each layer keeps of the cells of any context, for a `setup` with every layer by itself:
    layers alike are counted once."""

    def __init__(self, setup: Setup) -> None:
        rows: dict[str, Counter[CacheRow]] = defaultdict(Counter)
        for row, count in cache_rows(setup).items():
            rows[row[-1]][(*row[:-1], "CUDA0")] += count
        n = setup.hparams.n_layer_all + 1
        self._kept = [frozenset(rows[f"CUDA{il}"].items()) for il in range(n)]
        self._kinds = tuple(dict.fromkeys(self._kept))

    def at(self, sizes: Sizes) -> list[int]:
        """Bytes by layer, the output last."""
        n_bytes = {
            kind: sum(count * row_bytes(row, sizes) for row, count in kind) for kind in self._kinds
        }
        return [n_bytes[kind] for kind in self._kept]


def _experts(sizes: Mapping[str, int], n_layers: int) -> list[list[str]]:
    """The experts' matrices of each layer that are by themselves."""
    return [
        [piece for piece in ("up", "down", "gate", "gate_up") if f"CUDA{il}/{piece}" in sizes]
        for il in range(n_layers + 1)
    ]


def _costs(experts: Sequence[Sequence[str]], of: Callable[[str], float]) -> Costs:
    """The costs of each layer and of its experts; `of` is what is placed at `CUDA7/up`."""
    return Costs(
        fixed=[of(f"CUDA{il}") for il in range(len(experts))],
        pieces=[
            {piece: of(f"CUDA{il}/{piece}") for piece in names} for il, names in enumerate(experts)
        ],
    )


def _kinds(estimator: Estimator, config: RunConfig) -> tuple[GpuSpec | None, ...]:
    """The unlike cards of `config`, the first in front; None for all where one has no sheet."""
    kinds = tuple(dict.fromkeys(card.spec for card in estimator.cards_in(config).values()))
    return kinds if all(kinds) else (None,)


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


@frozen
class _Shares:
    """The work of every layer by itself: for each device the number of one of `works`."""

    alike: Mapping[Hashable, int]
    works: Sequence[Work]


def _shares(by_device: Mapping[Hashable, Work]) -> _Shares:
    """The shares by device, equal ones counted once."""
    likeness = {device: _likeness(work) for device, work in by_device.items()}
    unlike = {likeness[device]: work for device, work in by_device.items()}
    numbers = {each: i for i, each in enumerate(unlike)}
    alike = {device: numbers[each] for device, each in likeness.items()}
    return _Shares(alike=alike, works=list(unlike.values()))


def _likeness(work: Work) -> Hashable:
    """All of a share of the work: layers alike take as long as each other."""
    values = (getattr(work, name) for name in _WORK_FIELDS)
    return tuple(
        tuple(value.items())
        if isinstance(value, dict)
        else value
        if not isinstance(value, list)
        else tuple(value)
        for value in values
    )


def _name(question: SpeedQuestion) -> str:
    return question.card.name if question.card else ""
