"""One shape placed: its layers added up, compute buffers replayed, the result proven to fit.

A shape is a configuration without where its layers go. What layers weigh and take is added up
(`parts`, `filling`), so that thousands of placements cost nothing; what a card holds besides is
replayed for the few that are left, and every result is held against `Estimator.fits`.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise
from math import inf
from typing import Final

from oomph.advise.first_failure import margin_bytes
from oomph.advise.placement.filling import Ends, Fillings, Runs
from oomph.advise.placement.knobs import placed
from oomph.advise.placement.parts import Costs, Goal, LayerParts, Parts, is_expert
from oomph.advise.speeds import Speeds, speeds
from oomph.architectures.rope import positions
from oomph.config import CONTEXT_STEP, RunConfig, padded_context
from oomph.estimate.estimator import Estimator
from oomph.estimate.graph.placement import layer_of
from oomph.estimate.host_memory import host_bytes
from oomph.estimate.prediction import MemoryEstimate, is_card
from oomph.frozen import frozen
from oomph.units import MIB

ROUNDS: Final = 4
"""Compute buffers change a little with the placement: so often it is found anew with those of the
last one."""
WORTH_A_ROUND: Final = 64 * MIB
"""What a card may be left with by a guess that was too high."""
SIMPLER: Final = 1.003
"""How much quicker a pattern of tensors must be than a number of layers: with more, --fit's own
patterns would be quicker here and there."""


@frozen
class Placed:
    """A configuration and what is predicted of it; `changes` names its knobs that are not as they
    were asked. `speeds` is None where none are known."""

    config: RunConfig
    changes: tuple[str, ...]
    memory: MemoryEstimate
    margin_bytes: int
    host_bytes: int
    speeds: Speeds | None

    @property
    def decode_tokens_per_s(self) -> float:
        """In a full context; 0 where no speed is known."""
        return self.speeds.full.decode_tokens_per_s if self.speeds else 0.0

    @property
    def prefill_tokens_per_s(self) -> float:
        """Of a prompt that fills the context; 0 where no speed is known."""
        return self.speeds.full.prefill_tokens_per_s if self.speeds else 0.0

    def rate(self, goal: Goal) -> float:
        """Tokens per second of what the goal asks for; bytes off the host where no speed is
        known."""
        if self.speeds is None:
            return 1 / (1 + self.host_bytes)
        return self.prefill_tokens_per_s if goal == "prefill" else self.decode_tokens_per_s


@frozen
class _Kind:
    """Shapes whose compute buffers are about the same wherever the layers go."""

    n_devices: int
    n_ubatch: int
    cache: tuple[str, ...]


def _kind(shape: RunConfig) -> _Kind:
    return _Kind(
        n_devices=shape.n_devices,
        n_ubatch=shape.n_ubatch,
        cache=(shape.type_k, shape.type_v, shape.flash_attn),
    )


class Prover:
    """Places shapes of one question; what was replayed for one is a guess for the next.

    `held` are the knobs that stay as they are; `parts` those of the estimator's model, where they
    are counted for several questions.
    """

    def __init__(
        self,
        estimator: Estimator,
        asked: RunConfig,
        held: Collection[str],
        probability: float,
        *,
        parts: LayerParts | None = None,
    ) -> None:
        self.asked = asked
        self._estimator, self._sure = estimator, estimator.cautious(probability)
        self._held = frozenset(held)
        self._besides: dict[_Kind, Mapping[str, int]] = {}
        self._layers = parts or LayerParts(estimator)

    def may_change(self, *knobs: str) -> bool:
        """Whether none of these is held."""
        return not self._held.intersection(knobs)

    def as_asked(self) -> Placed | None:
        """The asked configuration, None where it does not fit as it is."""
        return self._measured(self.asked) if self._sure.fits(self.asked) else None

    def quickest(self, shape: RunConfig, goal: Goal) -> Placed | None:
        """The best placement of a shape for decoding or prefill, None where none fits."""
        found = self._quickest(shape, goal)
        return self._measured(*found) if found else None

    def quickest_config(self, shape: RunConfig, goal: Goal) -> RunConfig | None:
        """`quickest` without what it takes and how quick it is."""
        found = self._quickest(shape, goal)
        return found[0] if found else None

    def _quickest(self, shape: RunConfig, goal: Goal) -> tuple[RunConfig, MemoryEstimate] | None:
        if not self._is_open(shape):
            return None
        parts, cards = self._parts_of(shape, goal), self._cards(shape)
        besides, is_known = self._guess(shape)
        if not is_known and (plain := self._ways(shape, parts, besides).plain_runs()):
            memory = self._estimator.memory(self._placed(shape, plain, parts.n_bytes))
            besides = _beside_layers(memory, plain, parts.n_bytes, cards)
        best: tuple[RunConfig, MemoryEstimate] | None = None
        tried = set[RunConfig]()
        for _ in range(ROUNDS):
            runs = self._filled(shape, parts, besides)
            if runs is None:
                break
            config = self._placed(shape, runs, parts.n_bytes)
            if config in tried:
                break
            tried.add(config)
            memory = self._estimator.memory(config)
            seen = _beside_layers(memory, runs, parts.n_bytes, cards)
            self._besides[_kind(shape)] = seen
            if self._sure.fits(config):
                if best is None or self._is_quicker((config, memory), best, goal):
                    best = config, memory
                if all(besides[card] - seen[card] < WORTH_A_ROUND for card in cards):
                    break
                besides = seen
            else:  # what swings between two is taken at its most
                besides = {card: max(besides[card], seen[card]) for card in cards}
        return best

    def _is_quicker(
        self,
        found: tuple[RunConfig, MemoryEstimate],
        best: tuple[RunConfig, MemoryEstimate],
        goal: Goal,
    ) -> bool:
        return self._measured(*found).rate(goal) > self._measured(*best).rate(goal)

    def longest(self, shape: RunConfig, limit: int | None = None) -> Placed | None:
        """The longest context of a shape, with every layer's cache where it was asked to be; None
        where not even the shortest fits. `limit` None is as far as the model's positions go, or as
        was asked."""
        if not self._is_open(shape):
            return None
        found = self.longest_config(shape, limit)
        return None if found is None else self._measured(found)

    def longest_config(self, shape: RunConfig, limit: int | None = None) -> RunConfig | None:
        """`longest` without what it takes and how quick it is."""
        if not self._is_open(shape):
            return None
        own = max(positions(self._estimator.model).furthest, padded_context(shape.n_ctx))
        furthest = max(own if limit is None else limit, CONTEXT_STEP)
        steps = range(1, furthest // CONTEXT_STEP + 1)
        cards, bare = self._cards(shape), self._bare(shape)
        parts, fixed_bytes = self._layers.of(bare, "decode"), self._layers.fixed_bytes(bare)
        besides, best = dict(self._guess(shape)[0]), None
        for _ in range(ROUNDS):
            ways = self._ways(shape, parts, besides, keeps_layers=True)

            def at(step: int, ways: Fillings = ways) -> Fillings:
                return ways.with_fixed(fixed_bytes(step * CONTEXT_STEP))

            reached = bisect_left(steps, True, key=lambda step: not at(step).are_any())
            if not reached or (best and reached * CONTEXT_STEP <= best.n_ctx):
                break
            filled = at(reached)
            runs = filled.plain_runs()
            assert runs is not None, "the bisection has found it"
            longer = shape.with_(n_ctx=reached * CONTEXT_STEP)
            config = self._placed(longer, runs, filled.n_bytes)
            memory = self._estimator.memory(config)
            seen = _beside_layers(memory, runs, filled.n_bytes, cards)
            if self._sure.fits(config):
                best = config
            elif all(seen[card] <= besides[card] for card in cards):
                break  # the host lacks memory
            besides = seen if best else {card: max(besides[card], seen[card]) for card in cards}
        return best

    def gain(self, shape: RunConfig, goal: Goal) -> float:
        """How much quicker than the asked one a shape would be, added up from its parts with
        experts moved by whole layers; infinite where only it fits."""
        own, asked = (self._plain_rate(each, goal) for each in (shape, self.asked))
        return own / asked if asked else inf

    def _plain_rate(self, shape: RunConfig, goal: Goal) -> float:
        """Tokens per second, what no part takes left out; 0 where nothing fits."""
        if not self._is_open(shape):
            return 0.0
        besides, _ = self._guess(shape)
        filling = self._ways(shape, self._parts_of(shape, goal), besides).plain()
        if filling is None or not filling.seconds:
            return 0.0
        return (min(shape.n_ubatch, shape.n_batch) if goal == "prefill" else 1) / filling.seconds

    # --- what may be moved, and what that weighs

    def _is_open(self, shape: RunConfig) -> bool:
        """Whether layers can be moved at all."""
        is_pinned = "=CUDA" in (shape.override_tensor or "")
        return bool(self._cards(shape)) and shape.split_mode in ("layer", "none") and not is_pinned

    def _moves_experts(self, shape: RunConfig) -> bool:
        """Whether experts may go to the host or come back from it."""
        is_free = shape.override_tensor is None and self.may_change("n_cpu_moe", "override_tensor")
        return is_free and self._estimator.model.is_moe

    def _bare(self, shape: RunConfig) -> RunConfig:
        """The shape with nothing on the host that may come back."""
        return shape.with_(n_cpu_moe=0) if self._moves_experts(shape) else shape

    def _parts_of(self, shape: RunConfig, goal: Goal) -> Parts:
        return self._layers.of(self._bare(shape), goal)

    def _cards(self, shape: RunConfig) -> tuple[str, ...]:
        return tuple(self._sure.room_bytes(shape))

    def _guess(self, shape: RunConfig) -> tuple[Mapping[str, int], bool]:
        """What each card holds beside its layers, and whether it was replayed with this
        micro-batch and cache; with another micro-batch, half of it is taken to grow along."""
        own = _kind(shape)
        if own in self._besides:
            return self._besides[own], True
        known = [kind for kind in self._besides if kind.n_devices == own.n_devices]
        if not known:
            return dict.fromkeys(self._cards(shape), 0), False
        near = min(
            known, key=lambda kind: (abs(kind.n_ubatch - own.n_ubatch), kind.cache != own.cache)
        )
        scale = (1 + own.n_ubatch / near.n_ubatch) / 2
        return {name: int(n * scale) for name, n in self._besides[near].items()}, False

    def _ways(
        self,
        shape: RunConfig,
        parts: Parts,
        besides: Mapping[str, int],
        *,
        keeps_layers: bool = False,
    ) -> Fillings:
        """With `keeps_layers` no more whole layers on the host than were asked for."""
        firsts, cards = self._firsts(shape, parts.n_bytes), self._sure.cards_in(shape)
        return Fillings(
            parts,
            [card.spec if card.spec in parts.kinds else None for card in cards.values()],
            [card.memory_bytes - besides[name] for name, card in cards.items()],
            firsts=firsts[:1] if keeps_layers else firsts,
            moves_experts=self._moves_experts(shape),
            runs=self._runs(shape, parts.n_bytes),
        )

    def _filled(self, shape: RunConfig, parts: Parts, besides: Mapping[str, int]) -> Runs | None:
        """The quickest filling of the cards, in numbers of layers unless matrices are worth it."""
        ways = self._ways(shape, parts, besides)
        runs = ways.plain_runs()
        if runs and not runs.out and not runs.ends[0]:
            return runs
        plain, closest = ways.plain(), ways.closest()
        is_worth_it = closest and (not plain or plain.seconds > SIMPLER * closest.seconds)
        return closest if is_worth_it else plain

    def _placed(self, shape: RunConfig, runs: Runs, n_bytes: Costs) -> RunConfig:
        return placed(
            shape,
            runs,
            n_bytes,
            divides=self._runs(shape, n_bytes) is None,
            moves_experts=self._moves_experts(shape),
        )

    def _firsts(self, shape: RunConfig, n_bytes: Costs) -> Sequence[int]:
        """How many whole layers may stay on the host."""
        total = len(n_bytes.fixed)
        if self.may_change("n_gpu_layers"):
            return range(total)
        asked = shape.n_gpu_layers
        return [total - min(asked, total) if asked >= 0 else 0]

    def _runs(self, shape: RunConfig, n_bytes: Costs) -> Callable[[int], Ends] | None:
        """Where the cards end under a split that stays as it is."""
        cards = self._cards(shape)
        is_given = any(shape.tensor_split or ()) and not self.may_change("tensor_split")
        if not is_given and len(cards) > 1:
            return None
        total = len(n_bytes.fixed)

        @cache
        def ends(first: int) -> Ends:
            placement = self._estimator.placement(shape.with_(n_gpu_layers=total - first))
            homes = [placement.layer(il) for il in range(first, total)]
            return tuple(accumulate((homes.count(card) for card in cards), initial=first))

        return ends

    # --- what a configuration is worth

    def _measured(self, config: RunConfig, memory: MemoryEstimate | None = None) -> Placed:
        estimator = self._estimator
        memory = memory or estimator.memory(config)
        return Placed(
            config=config,
            changes=changed_knobs(self.asked, config),
            memory=memory,
            margin_bytes=margin_bytes(memory, estimator.room_bytes(config)),
            host_bytes=host_bytes(memory),
            speeds=speeds(estimator, config, memory),
        )


def n_layers_without_experts(estimator: Estimator, config: RunConfig) -> int:
    """Layers of which some experts are on the host."""
    placement = estimator.placement(config)
    names = (name for name in estimator.model.tensors if is_expert(name))
    return len({layer_of(name) for name in names if not is_card(placement.weight(name))})


def changed_knobs(asked: RunConfig, config: RunConfig) -> tuple[str, ...]:
    """The names of the knobs that the two do not share."""
    own = config.to_dict()
    return tuple(knob for knob, value in asked.to_dict().items() if own[knob] != value)


def _beside_layers(
    memory: MemoryEstimate, runs: Runs, n_bytes: Costs, cards: Sequence[str]
) -> dict[str, int]:
    """What each card holds beside its layers: the compute buffer, and what llama.cpp prints
    nowhere."""
    found = {}
    for card, (i, j) in zip(cards, pairwise(runs.ends), strict=True):
        layers = sum(n_bytes.fixed[i:j])
        for il in range(i, j):
            pieces = n_bytes.pieces[il].items()
            layers += sum(n for name, n in pieces if name not in runs.out.get(il, ()))
        found[card] = memory.devices[card].total_bytes - int(layers)
    return found
