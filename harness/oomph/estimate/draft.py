"""The context that drafts for speculative decoding: the model's own head, or a model beside it.

llama-server makes it of the target's own parameters (common_base_params_to_speculative of
common/speculative.cpp): as long a context, the same batches, slots and flags, one output a slot;
cache types, layers on cards and devices are the draft's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from oomph.architectures.layers import n_decoding
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.build import LATEST, Build
from oomph.estimate.compute import ComputeBuffers, Setup
from oomph.estimate.graph.placement import layer_of
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import pool_bytes
from oomph.speculation import MTP

Parts = Mapping[str, Mapping[str, int]]


def draft_config(config: RunConfig) -> RunConfig:
    """The knobs of the drafting context beside a target with these."""
    return config.with_(
        type_k=config.spec_draft_type_k,
        type_v=config.spec_draft_type_v,
        n_outputs_max=config.n_seq_max,
        spec_type=None,
    )


class MtpHead:
    """The target's own multi-token-prediction head: its blocks, loaded with the target, and the
    context that runs them."""

    name: Final = "mtp"

    def __init__(self, model: ModelSpec, build: Build = LATEST) -> None:
        self._memory = MemoryModel(model, build, is_head=True)
        n_trunk = n_decoding(model)
        self._blocks = replace(
            model,
            tensors={
                name: info
                for name, info in model.tensors.items()
                if (layer_of(name) or 0) >= n_trunk
            },
        )

    def fixed_bytes(self, config: RunConfig, setup: Setup, cards: Sequence[Card]) -> Parts:
        """Its weights and caches, where the target's placement has the layer."""
        own = self._setup(config, setup)
        where = {own.placement.layer(il) for il in own.hparams.running}
        pools = {
            card.device: pool_bytes(self._blocks, draft_config(config), card.spec)
            for card in cards
            if card.spec and card.device in where
        }
        return {**self._memory.fixed(own), "overhead_bytes": pools}

    def compute_buffers(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> ComputeBuffers:
        """Those of its graph, replayed."""
        return self._memory.compute_by_device(self._setup(config, setup))

    def notes(self, config: RunConfig) -> Iterable[str]:
        """Nothing: it is exact where it is known at all."""
        return ()

    def _setup(self, config: RunConfig, setup: Setup) -> Setup:
        return self._memory.resolved(draft_config(config), setup.placement)


def head_of(model: ModelSpec, build: Build = LATEST) -> MtpHead:
    """The model's head; ConfigError, in words of the flag that asks for it, where it has none."""
    if n_decoding(model) == model.n_layer:
        raise ConfigError(
            f"{model.source} has no MTP head, and --spec-type {MTP} needs one; fetch a file that "
            "has it, or leave the flag out"
        )
    return MtpHead(model, build)
