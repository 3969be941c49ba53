"""The search of --fit, with oomph's estimate where llama.cpp makes a dry run.

Follows `common_params_fit_impl` of llama.cpp's common/fit.cpp step by step, integer division and
wrap included, because the result is asked for as it will be, not as it should be:

1. What its user set, all layers on the cards: where every card keeps its margin, nothing changes.
2. Where all cards together lack memory and the context is open, it shrinks on a straight line
   between the model's and the least. One card: done, without another look.
3. Cards are filled from the last to the first with as many layers as each holds, by false position
   over the layers; a mixture's experts stay on the host.
4. If all but the experts found room, layers get theirs back, cards filled from the first to the
   last, and each card tries a part of one more layer.

Recurrent states count twice in it: llama_memory_recurrent allocates them in a dry run too, so that
they are missing from what is free as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from oomph.config import CONTEXT_STEP, RunConfig
from oomph.estimate.draft import DraftModel, MtpHead
from oomph.estimate.fitting.beside import Beside
from oomph.estimate.fitting.question import DIES, FitQuestion, Fitted
from oomph.estimate.fitting.shares import ALL_EXPERTS, WRAP, Kept, Share, divided, knobs
from oomph.estimate.graph.tensor import pad
from oomph.estimate.memory import MemoryModel
from oomph.frozen import frozen

CUDA_PIECE: Final = 2 << 20
"""In which cudaMalloc takes a card's memory."""
ALL_LAYERS: Final = -2
"""`-ngl all` as llama.cpp keeps it (common/arg.cpp); -1 is what it has where nothing is said."""


class _GaveUpError(Exception):
    """llama.cpp stops here (common_params_fit_exception), and loads what it has so far."""


@frozen
class _Use:
    """Bytes by card as a dry run tells them, of these the weights of all, and what it may use of
    each card."""

    by_card: tuple[int, ...]
    weights: int
    targets: tuple[int, ...]


@frozen
class _Trial:
    """Shares that were measured; `dense` is the first card that holds layers in part."""

    shares: tuple[Share, ...]
    used: tuple[int, ...]
    dense: int


def fit_params(
    memory: MemoryModel, question: FitQuestion, drafter: MtpHead | DraftModel | None = None
) -> Fitted:
    """What llama.cpp loads for `question` with `--fit on`; `drafter` is the context that drafts, in
    a dry run too.

    A dry run that llama.cpp refuses ends the search as it ends llama.cpp's, with what was set.
    """
    search = _Search(memory, question, drafter)
    try:
        search.run()
    except _GaveUpError as error:
        return Fitted(config=search.config, gave_up=str(error))
    return Fitted(config=search.config)


class _Search:
    """`config` is what would be loaded as far as the search has come."""

    def __init__(
        self, memory: MemoryModel, question: FitQuestion, drafter: MtpHead | DraftModel | None
    ) -> None:
        self._memory, self._question = memory, question
        asked = question.config
        self._n_layer, self._is_moe = memory.hparams().n_layer, memory.model.n_expert > 0
        self._streams = 1 if asked.kv_unified else max(1, asked.n_seq_max)
        self._longest = memory.model.n_ctx_train * self._streams
        if question.n_ctx_is_open:
            asked = replace(asked, n_ctx=self._longest)
        if question.layers_are_open:
            asked = replace(asked, n_gpu_layers=-1)
        self.config = asked
        chosen = [asked.main_gpu] if asked.split_mode == "none" else range(asked.n_devices)
        self._cards = memory.setup(asked).placement.cards
        self._free = [question.free_bytes[i] for i in chosen]
        # llama.cpp takes the margins in order, also for one card that is not the first
        self._margins = list(question.margin_bytes[: len(self._cards)])
        self._targets: tuple[int, ...] = ()
        self._beside = Beside(drafter, memory, asked, self._free) if drafter else None
        if self._beside and self._beside.is_of_target:
            self._n_layer = memory.model.n_layer

    def run(self) -> None:
        """All steps; _GaveUpError where llama.cpp stops."""
        if self.config.split_mode == "tensor":
            raise _GaveUpError("llama_params_fit is not implemented for SPLIT_MODE_TENSOR, abort")
        full = self._use()
        self._targets = full.targets
        if all(used <= most for used, most in zip(full.by_card, self._targets, strict=True)):
            return
        if sum(full.by_card) > sum(self._targets) and self._shrinks_context(full):
            return
        self._check_what_is_set()
        has_room = self._is_moe and self._has_room_without_experts()
        dense = self._filled_by_dense_layers()
        found = self._filled_by_full_layers(dense) if has_room else dense
        self.config = self._placed(found.shares)

    # --- what a dry run tells

    def _use(self, **changes: Any) -> _Use:
        """What the configuration takes with these knobs changed; _GaveUpError where llama.cpp does
        not get that far."""
        config = replace(self.config, **changes)
        if len(self._cards) > 1:
            config = divided(config, self._free)
        for _, sentence in self._memory.refusals(config, self._memory.setup(config)):
            raise _GaveUpError(sentence)
        devices = self._memory.estimate(config).devices
        cards = [devices[name] for name in self._cards]
        head = self._beside.weights(config) if self._beside else {}
        context = self._beside.context(config.n_ctx) if self._beside else {}
        # the states are allocated, dry run or not, when the driver is asked what is free
        states = (pad(card.recurrent_bytes, CUDA_PIECE) for card in cards)
        free = (n - state for n, state in zip(self._free, states, strict=True))
        return _Use(
            by_card=tuple(
                devices[name].total_bytes + head.get(name, 0) + context.get(name, 0)
                for name in self._cards
            ),
            weights=sum(card.weights_bytes for card in cards)
            + sum(head.get(c, 0) for c in self._cards),
            targets=tuple(n - margin for n, margin in zip(free, self._margins, strict=True)),
        )

    def _placed(self, shares: Sequence[Share]) -> RunConfig:
        return replace(self.config, **knobs(shares, self._n_layer))

    def _trial(self, shares: Sequence[Share], dense: int = 0) -> _Trial:
        used = self._use(**knobs(shares, self._n_layer)).by_card
        return _Trial(shares=tuple(shares), used=used, dense=dense)

    # --- step 2

    def _shrinks_context(self, full: _Use) -> bool:
        """Make an open context shorter, as far as it is allowed to be; whether that is all that one
        card needs."""
        least = self._question.n_ctx_least
        if not self._question.n_ctx_is_open or least is None:
            return False
        least *= self._streams
        if self._longest <= least:
            return False
        most, n_cards = sum(self._targets), len(self._cards)
        if n_cards > 1:
            # only whole layers can be handed out, or tensors of a third of one: half of such a
            # piece is lost on each card, and one more for safety
            n_gpu_layers = self.config.n_gpu_layers % WRAP
            layer = _quotient(full.weights, min(n_gpu_layers, self._n_layer))
            most -= _quotient((n_cards + 1) * layer, 6 if self._is_moe else 2)
        used = sum(full.by_card)
        self.config = replace(self.config, n_ctx=least)
        at_least = sum(self._use().by_card)
        if most <= at_least:
            return False
        span = self._longest - least
        n_ctx = least + _quotient(span * (most - at_least), used - at_least)
        n_ctx = max(n_ctx - n_ctx % (CONTEXT_STEP * self._streams), least)
        self.config = replace(self.config, n_ctx=n_ctx)
        return n_cards == 1

    def _check_what_is_set(self) -> None:
        """_GaveUpError where a user has said where the weights go."""
        config = self.config
        if not self._question.layers_are_open:
            n_gpu_layers = ALL_LAYERS if config.n_gpu_layers < 0 else config.n_gpu_layers
            raise _GaveUpError(f"n_gpu_layers already set by user to {n_gpu_layers}, abort")
        if len(self._cards) > 1 and any(config.tensor_split or ()):
            raise _GaveUpError("model_params::tensor_split already set by user, abort")
        if config.tensor_overrides or config.n_cpu_moe:
            raise _GaveUpError("model_params::tensor_buft_overrides already set by user, abort")

    # --- step 3

    def _has_room_without_experts(self) -> bool:
        use = self._use(override_tensor=ALL_EXPERTS)
        return sum(use.by_card) < sum(use.targets)

    def _filled_by_dense_layers(self) -> _Trial:
        """From the last card to the first, as many layers as each holds; a mixture's without their
        experts, but for the output, which is always whole."""
        n_cards = len(self._cards)
        low = self._trial([Share()] * n_cards)
        for card in reversed(range(n_cards)):
            is_last = card == n_cards - 1
            n_left = self._n_layer + 1 - sum(share.n_layer for share in low.shares[card + 1 :])
            if n_left == 0:
                continue
            n_part = (n_left - is_last) if self._is_moe else 0
            shares = list(low.shares)
            shares[card] = replace(shares[card], n_layer=n_left, n_part=n_part)
            high = self._trial(shares)

            def between(
                low: _Trial, step: int, card: int = card, is_last: bool = is_last
            ) -> _Trial:
                shares = list(low.shares)
                share = shares[card]
                n_part = step - (is_last and share.n_part == 0) if self._is_moe else 0
                shares[card] = replace(
                    share, n_layer=share.n_layer + step, n_part=share.n_part + n_part
                )
                return self._trial(shares)

            low = self._closest(card, low, high, lambda share: share.n_layer, between)
        return low

    def _closest(
        self,
        card: int,
        low: _Trial,
        high: _Trial,
        count: Callable[[Share], int],
        between: Callable[[_Trial, int], _Trial],
    ) -> _Trial:
        """`high` where it is within the card's target, else the last trial that is, one of `count`
        below the first found that is not, by false position."""
        target = self._targets[card]
        if high.used[card] <= target:
            return high
        while (delta := (count(high.shares[card]) - count(low.shares[card])) % WRAP) > 1:
            rise = high.used[card] - low.used[card]
            step = _quotient(delta * (target - low.used[card]), rise) % WRAP
            trial = between(low, min(max(step, 1), delta - 1))
            if trial.used[card] <= target:
                low = trial
            else:
                high = trial
        return low

    # --- step 4

    def _filled_by_full_layers(self, low: _Trial) -> _Trial:
        """From the first card to the last, layers of the cards behind made whole, and then a part
        of one more."""
        n_cards = len(self._cards)
        dense = min(_first_of_the_rest(low.shares), n_cards - 1)
        low = replace(low, dense=dense)
        card = 0
        while card <= low.dense < n_cards:
            high = self._trial(_all_moved(low, card), n_cards - 1)

            def between(low: _Trial, step: int, card: int = card) -> _Trial:
                shares, dense = _converted(low, card, step)
                return self._trial(shares, dense)

            low = self._closest(card, low, high, lambda share: share.n_full, between)
            low = self._with_part_of_one_more(card, low)
            card += 1
        return low

    def _with_part_of_one_more(self, card: int, low: _Trial) -> _Trial:
        """`low` with the most of another layer that has room, its rest on the next card or the
        host."""
        is_last = card == len(self._cards) - 1
        if low.dense >= len(low.shares) or low.shares[low.dense].n_layer <= is_last:
            return low
        shares, dense = list(low.shares), low.dense
        giver = shares[dense]
        shares[dense] = replace(giver, n_layer=giver.n_layer - 1, n_part=(giver.n_part - 1) % WRAP)
        taker = shares[card]
        taken = replace(
            taker,
            n_layer=taker.n_layer + 1,
            n_part=(taker.n_part + 1) % WRAP,
            spill=taker.spill if is_last else self._cards[card + 1],
        )
        shares[card] = taken  # which may be the giver itself
        if shares[dense].n_part == 0:
            dense += 1

        def trial(kept: Kept) -> _Trial:
            shares[card] = replace(taken, first=kept)
            return self._trial(shares, dense)

        def has_room(trial: _Trial) -> bool:
            ends = range(card, min(card + 2, len(self._cards)))
            return all(trial.used[i] < self._targets[i] for i in ends)

        with_up = trial(Kept.AND_UP)
        other = trial(Kept.AND_GATE if has_room(with_up) else Kept.ATTENTION)
        return next((found for found in (other, with_up) if has_room(found)), low)


def _first_of_the_rest(shares: Sequence[Share]) -> int:
    """The card from which on all hold layers."""
    first = len(shares)
    while first > 0 and shares[first - 1].n_layer > 0:
        first -= 1
    return first


def _all_moved(low: _Trial, card: int) -> list[Share]:
    """Every layer in part made whole on `card`, the output left on the last."""
    shares = list(low.shares)
    for other in range(low.dense, len(shares)):
        n_moved = shares[other].n_layer - (other == len(shares) - 1)
        shares[card] = replace(shares[card], n_layer=shares[card].n_layer + n_moved)
        shares[other] = replace(shares[other], n_layer=shares[other].n_layer - n_moved, n_part=0)
    return shares


def _converted(low: _Trial, card: int, step: int) -> tuple[list[Share], int]:
    """`step` layers in part made whole on `card`, and the first card that then still has any in
    part."""
    shares, dense, n_done = list(low.shares), low.dense, 0
    while dense < len(shares):
        giver = shares[dense]
        n_converted = min(step - n_done, giver.n_part)
        shares[dense] = replace(
            giver, n_layer=giver.n_layer - n_converted, n_part=giver.n_part - n_converted
        )
        shares[card] = replace(shares[card], n_layer=shares[card].n_layer + n_converted)
        n_done += n_converted
        if shares[dense].n_part > 0:
            break
        dense += 1
    return shares, dense


def _quotient(dividend: int, divisor: int) -> int:
    """C++'s division of whole numbers, which cuts; _GaveUpError where it ends the program."""
    if divisor == 0:
        raise _GaveUpError(DIES)
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient
