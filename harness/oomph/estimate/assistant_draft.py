"""Gemma 4's assistant: an MTP head in a file of its own that reads the target's caches.

It keeps nothing itself: its layers look at the caches of the target's last two layers, with a
window and without (llama_kv_cache's layer_share_cb; src/models/gemma4-assistant.cpp).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.buffers import Setup
from oomph.estimate.build import LATEST, Build
from oomph.estimate.draft import DraftModel, let_go
from oomph.estimate.graph.hparams import SHARED_FULL, SHARED_WINDOW, TARGET_TOKENS
from oomph.estimate.graph.placement import CPU, Placement
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import is_card
from oomph.speculation import MTP
from oomph.units import count

ASSISTANT: Final = "gemma4-assistant"
_TARGETS: Final = ("gemma4",)


class AssistantDraft(DraftModel):
    """An assistant beside the model that it drafts for; ConfigError where the two do not go
    together."""

    is_fitted = False

    def __init__(
        self,
        target: ModelSpec,
        model: ModelSpec,
        build: Build = LATEST,
        *,
        is_dry_run: bool = False,
    ) -> None:
        self._target, self._build = target, build
        width = model.integer("embedding_length_out")
        if target.arch not in _TARGETS or width != target.n_embd:
            raise ConfigError(
                f"{model.source} drafts for a Gemma 4 {count(width)} wide, and {target.source} is "
                f"of architecture {target.arch}, {count(target.n_embd)} wide"
            )
        tokens = replace(target.tensors["token_embd.weight"], name=TARGET_TOKENS)
        super().__init__(model, build, is_dry_run=is_dry_run, lent={TARGET_TOKENS: tokens})

    def dry(self) -> "AssistantDraft":
        """The same as llama.cpp counts it without allocating."""
        return AssistantDraft(self._target, self.model, self._build, is_dry_run=True)

    def notes(self, config: RunConfig) -> Iterable[str]:
        """What llama-server does with an assistant that nothing is asked of."""
        yield from let_go(config, (MTP,), MTP)

    def _on(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> tuple[MemoryModel, Setup, RunConfig]:
        memory, at = self._asked(config, setup, cards)
        if config.split_mode == "tensor":
            raise ConfigError(
                f"{self.model.source}: what an assistant takes with split_mode tensor is not "
                "known; use layer"
            )
        at = at.with_(type_k=config.type_k, type_v=config.type_v)
        layers = setup.hparams.layers
        lent = {TARGET_TOKENS: CPU}
        for which in (SHARED_WINDOW, SHARED_FULL):
            lent[f"cache_l{which}"] = setup.placement.cache(layers[which].cache_layer)
        placement = Placement(at, self.model.n_layer, memory.cards, lent=lent)
        for device in lent.values():
            if is_card(device) and device not in placement.cards:
                raise ConfigError(
                    f"{self.model.source} reads the model's caches, which are on {device}: "
                    "--spec-draft-device has to name that card too"
                )
        return memory, memory.resolved(at, placement), at
