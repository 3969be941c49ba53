"""Speculative decoding as llama.cpp 0.5.0 names it: its kinds, and how far ahead each drafts.

Facts of `--spec-type` alone (common/common.h, common/speculative.cpp); what a draft takes is in
`oomph.estimate`.
"""

from typing import Final

MTP: Final = "draft-mtp"
"""By the multi-token-prediction head of the model itself, or of a file of its own."""
SIMPLE: Final = "draft-simple"
"""By a smaller model."""
EAGLE3: Final = "draft-eagle3"
"""By a head of one layer that is given what comes into three of the target's layers."""
DRAFT_MAX: Final = 3
"""Tokens that a draft makes at most unless `--spec-draft-n-max` says else."""

DFLASH: Final = "draft-dflash"
"""By a head that fills in a block of masked tokens at once, from features of the target."""
DSPARK: Final = "draft-dspark"
"""The same, each token of the block chosen by the one before it besides."""
BY_MODEL: Final = (SIMPLE, EAGLE3, MTP, DFLASH, DSPARK)
"""Kinds that run a second context."""
BY_BLOCK: Final = (DFLASH, DSPARK)
"""Kinds that decode all that they draft in one batch."""
DRAFTERS: Final = {"eagle3": (EAGLE3,), "dflash": BY_BLOCK}
"""The kinds that a drafter's architecture is for."""
READING: Final = (EAGLE3, *BY_BLOCK)
"""Kinds that draft by what comes into some of the target's layers."""
BY_NGRAM: Final = {
    "ngram-simple": 48,
    "ngram-map-k": 48,
    "ngram-map-k4v": 48,
    "ngram-mod": 64,
    "ngram-cache": 8,
}
"""Kinds that look the text itself up, and how many tokens each drafts
(common_speculative_n_max)."""
SPEC_KINDS: Final = ("none", *BY_MODEL, *BY_NGRAM)


def kinds_of(spec_type: str | None) -> tuple[str, ...]:
    """The kinds that a value of `--spec-type` lists, without "none"."""
    listed = (spec_type or "").split(",")
    return tuple(kind for kind in listed if kind not in ("", "none"))


def most_drafted(spec_type: str | None, draft_max: int) -> int:
    """Tokens that are drafted at most, and then verified at once (common_speculative_n_max)."""
    return max(
        (draft_max if kind in BY_MODEL else BY_NGRAM[kind] for kind in kinds_of(spec_type)),
        default=0,
    )


def rolled_back(spec_type: str | None, draft_max: int) -> int:
    """Tokens by which recurrent states must be able to go back: so many more of each are kept
    (common_params_speculative::need_n_rs_seq)."""
    needs = any(kind in BY_MODEL and kind != SIMPLE for kind in kinds_of(spec_type))
    return draft_max if needs else 0
