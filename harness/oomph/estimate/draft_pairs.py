"""Which draft goes with which model, and what becomes of the two."""

from collections.abc import Iterable

from oomph.architectures.families import family_of
from oomph.architectures.layers import n_decoding
from oomph.architectures.spec import ModelSpec
from oomph.architectures.vocabulary import unlike
from oomph.errors import ConfigError
from oomph.estimate.assistant_draft import ASSISTANT, AssistantDraft
from oomph.estimate.build import LATEST, Build
from oomph.estimate.draft import DraftModel
from oomph.estimate.feature_draft import FeatureDraft
from oomph.speculation import BY_MODEL, DFLASH, DRAFTERS, DSPARK, MTP
from oomph.units import mib


def draft_of(
    target: ModelSpec, draft: ModelSpec, kinds: Iterable[str], build: Build = LATEST
) -> DraftModel:
    """`draft` beside `target`, for these kinds of speculative decoding; ConfigError where llama.cpp
    could not draft with it, or where its graph is not known."""
    kinds = tuple(kinds)
    is_head = MTP in kinds
    _check_kinds(draft, kinds)
    if draft.arch == ASSISTANT:
        others = [kind for kind in kinds if kind in BY_MODEL and kind != MTP]
        if others:
            raise ConfigError(
                f"{draft.source} is of architecture {draft.arch}, with which llama.cpp drafts by "
                f"--spec-type {MTP}, not {others[0]}"
            )
        return AssistantDraft(target, draft, build)
    if is_head and n_decoding(draft) == draft.n_layer:
        raise ConfigError(f"{draft.source} has no MTP head, and --spec-type {MTP} needs one")
    if not family_of(draft.arch).has_known_graph:
        raise ConfigError(
            f"{draft.source}: what a draft of architecture {draft.arch!r} takes beyond its weights "
            f"({mib(draft.n_bytes)}) is not known"
        )
    if not is_head and (difference := unlike(target, draft)):
        raise ConfigError(
            f"{draft.source} {difference}: llama.cpp drafts only with a model of the same "
            "vocabulary"
        )
    if draft.arch in DRAFTERS:
        return FeatureDraft(target, draft, build)
    return DraftModel(draft, build, is_head=is_head)


def inferred_kind(draft: ModelSpec) -> str | None:
    """The kind of speculation that llama.cpp takes of a draft's file where none is said; None where
    it takes none (common_speculative_types_from_gguf)."""
    if draft.arch == "dflash":
        return DSPARK if "markov_w1.weight" in draft.tensors else DFLASH
    last = f"blk.{draft.n_layer - 1}.nextn.eh_proj.weight"
    return MTP if last in draft.tensors and n_decoding(draft) < draft.n_layer else None


def _check_kinds(draft: ModelSpec, kinds: Iterable[str]) -> None:
    """ConfigError where the kinds that run a model are for another than this one."""
    own = DRAFTERS.get(draft.arch, ())
    for kind in kinds:
        others = [arch for arch, each in DRAFTERS.items() if kind in each]
        if others and kind not in own:
            raise ConfigError(
                f"{draft.source} is of architecture {draft.arch}, and --spec-type {kind} drafts "
                f"with {others[0]} alone"
            )
        if own and kind in BY_MODEL and kind not in own:
            raise ConfigError(
                f"{draft.source} is of architecture {draft.arch}, with which llama.cpp drafts by "
                f"--spec-type {own[0]}, not {kind}"
            )
