"""What of a question any measured row had: kinds of chips, tensors, caches and machines.

Stands apart from the formulas, which answer whatever is asked: a figure that rests on a formula
alone must say so.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from oomph.estimate.card import CardTraits
from oomph.estimate.work import Work

MAIN_SHARE: Final = 0.1
"""Tensors of a kind count once they are this share of the bytes."""
WIDER_UNTESTED: Final = 1.5
"""How much wider an interval is where something asked was never measured: a judgement."""


def asked_features(card: CardTraits, work: Work, test: str) -> Iterator[str]:
    """What a question of `test` ("prefill", "decode") on this card has that rows may not have had,
    in words."""
    chips = (
        card.generation
        if card.has_tensor_cores or card.generation != "Turing"
        else "Turing without tensor cores"
    )
    yield f"{test} on {chips}"
    if card.is_unified:
        yield f"{test} from memory shared with the host"
    if card.is_windows:
        yield f"{test} under Windows"
    if card.is_capped:
        yield f"{test} at a lowered power limit"
    if any(group.quantized_share for group in work.attention):
        yield f"{test} with a quantized cache"
    total = work.weight_bytes(None)
    for kind in (*work.dense_bytes, *work.expert_bytes):
        if work.dense_bytes.get(kind, 0.0) + work.expert_bytes.get(kind, 0.0) > MAIN_SHARE * total:
            yield f"{test} of {kind} tensors"


def untested(card: CardTraits, work: Work, test: str, rows: Mapping[str, int]) -> tuple[str, ...]:
    """Which of them no row had; nothing where it is not known what rows had, as with a
    calibration's own."""
    if not rows:
        return ()
    return tuple(
        dict.fromkeys(
            feature for feature in asked_features(card, work, test) if feature not in rows
        )
    )
