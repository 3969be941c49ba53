"""What drafting costs: a file's own MTP head, and the ways to spend less on it."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures.layers import n_decoding
from oomph.config import RunConfig
from oomph.errors import OomphError
from oomph.estimate.draft import DraftModel
from oomph.estimate.estimator import Estimator
from oomph.gguf.ggml_types import quant
from oomph.speculation import BY_MODEL, MTP, kinds_of
from oomph.units import mib

SMALLER_CACHES: Final = ("q8_0", "q4_0")
MOST_DRAFTED: Final = 64
"""Tokens at once of the longest draft that is tried where fewer are to do."""


def drafting(config: RunConfig, **knobs: object) -> RunConfig:
    """`config` with these knobs of speculation, and as many rows of logits as they want."""
    changed = config.with_(**knobs)
    is_of_slots = config.n_outputs_max == config.n_verified
    return changed.with_(n_outputs_max=changed.n_verified) if is_of_slots else changed


def head_bytes(estimator: Estimator, config: RunConfig) -> int | None:
    """What `--spec-type draft-mtp` would take of the cards besides; None where the file has no MTP
    head, where drafting is asked for already, or where it cannot be told."""
    if n_decoding(estimator.model) == estimator.model.n_layer or config.spec_kinds:
        return None
    try:
        with_head = estimator.memory(drafting(config, spec_type=MTP))
    except OomphError:
        return None
    return with_head.total_vram_bytes - estimator.memory(config).total_vram_bytes


def head_notes(estimator: Estimator, config: RunConfig) -> Iterator[str]:
    """That the file has a head which is not asked for, and what it would take."""
    if n_bytes := head_bytes(estimator, config):
        yield (
            f"the file has an MTP head, which is not loaded: --spec-type {MTP} would take "
            f"{mib(n_bytes)} more on the cards"
        )


def drafts(config: RunConfig) -> bool:
    """Whether a second context drafts."""
    return any(kind in BY_MODEL for kind in config.spec_kinds)


def fewer_drafted(config: RunConfig) -> list[RunConfig]:
    """The same with fewer tokens drafted at once, one less each."""
    if not drafts(config):
        return []
    most = min(config.spec_draft_n_max - 1, MOST_DRAFTED)
    return [drafting(config, spec_draft_n_max=n) for n in range(most, 0, -1)]


def smaller_draft_caches(config: RunConfig) -> Iterator[RunConfig]:
    """The same with a smaller cache of the draft's own."""
    if not drafts(config) or config.flash_attn == "off":
        return
    types = (config.spec_draft_type_k, config.spec_draft_type_v)
    own = max(quant(kind).bits_per_weight for kind in types)
    for kind in SMALLER_CACHES:
        if quant(kind).bits_per_weight < own:
            yield config.with_(spec_draft_type_k=kind, spec_draft_type_v=kind)


def without_drafting(estimator: Estimator, config: RunConfig) -> tuple[Estimator, RunConfig] | None:
    """The same without a second context; None where there is none."""
    riders = [rider for rider in estimator.riders if not isinstance(rider, DraftModel)]
    if not drafts(config) and len(riders) == len(estimator.riders):
        return None
    left = ",".join(kind for kind in kinds_of(config.spec_type) if kind not in BY_MODEL)
    return estimator.changed(riders=riders), drafting(config, spec_type=left or None)
