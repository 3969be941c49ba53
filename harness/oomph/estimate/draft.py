"""The context that drafts in speculative decoding: the model's own head, or another model.

llama-server makes it of the target's own parameters (common_base_params_to_speculative of
common/speculative.cpp): as long a context, the same batches, slots and flags, one output a slot;
cache types, layers on cards and devices are the draft's own.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from oomph.architectures.layers import n_decoding
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card, chosen_cards
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.buffers import ComputeBuffers, Setup
from oomph.estimate.build import LATEST, Build
from oomph.estimate.graph.placement import layer_of
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import exchange_bytes, pool_bytes
from oomph.gguf.header import TensorInfo
from oomph.gpus import GpuSpec
from oomph.speculation import BY_BLOCK, BY_MODEL, MTP, SIMPLE

Parts = Mapping[str, Mapping[str, int]]


def draft_config(config: RunConfig) -> RunConfig:
    """The knobs of the drafting context beside a target with these."""
    is_block = any(kind in BY_BLOCK for kind in config.spec_kinds)
    rows = 1 + config.spec_draft_n_max if is_block else 1
    return config.with_(
        type_k=config.spec_draft_type_k,
        type_v=config.spec_draft_type_v,
        n_outputs_max=config.n_seq_max * rows,
        spec_type=None,
    )


class MtpHead:
    """The target's own multi-token-prediction head: its blocks, loaded with the target, and the
    context that runs them."""

    name: Final = "mtp"
    composes: Final = False
    read_layers: Final = ()
    is_fitted: Final = True

    def __init__(
        self, model: ModelSpec, build: Build = LATEST, *, is_dry_run: bool = False
    ) -> None:
        self.model = model
        self._memory = MemoryModel(model, build, is_dry_run=is_dry_run, is_head=True)
        n_trunk = n_decoding(model)
        self._blocks = replace(
            model,
            tensors={
                name: info
                for name, info in model.tensors.items()
                if (layer_of(name) or 0) >= n_trunk
            },
        )

    def dry(self) -> "MtpHead":
        """The same as llama.cpp counts it without allocating."""
        return MtpHead(self.model, is_dry_run=True)

    def fixed_bytes(self, config: RunConfig, setup: Setup, cards: Sequence[Card]) -> Parts:
        """Its weights and caches, where the target's placement has the layer."""
        own, at = self._setup(config, setup), draft_config(config)
        where = {own.placement.layer(il) for il in own.hparams.running}
        taken = {
            card.device: _run_bytes(self._blocks, at, card.spec)
            for card in cards
            if card.spec and (own.placement.is_cut or card.device in where)
        }
        return {**self._memory.fixed(own), "overhead_bytes": taken}

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


class DraftModel:
    """A smaller model that drafts, in a file of its own; with `is_head` that is a model's MTP head
    alone, or with it.

    It is loaded after the target, so that its layers are divided by what that has left free.
    """

    name: Final = "draft"
    read_layers: tuple[int, ...] = ()
    is_fitted = True
    """Whether --fit counts it: not where its context needs the target's (common_params_fit_impl
    then fits without it)."""

    def __init__(
        self,
        model: ModelSpec,
        build: Build = LATEST,
        *,
        is_head: bool = False,
        is_dry_run: bool = False,
        lent: Mapping[str, TensorInfo] | None = None,
    ) -> None:
        self.model, self.is_head = model, is_head
        self._memory = MemoryModel(model, build, is_dry_run=is_dry_run, is_head=is_head, lent=lent)
        self._trunk = MemoryModel(model, build) if is_head else None

    @property
    def composes(self) -> bool:
        """Whether its architecture is not in the table."""
        return not self._memory.is_known

    def dry(self) -> "DraftModel":
        """The same as llama.cpp counts it without allocating."""
        return DraftModel(self.model, is_head=self.is_head, is_dry_run=True)

    def fixed_bytes(self, config: RunConfig, setup: Setup, cards: Sequence[Card]) -> Parts:
        """Its weights and caches on its own devices."""
        memory, own, at = self._on(config, setup, cards)
        fixed: dict[str, Mapping[str, int]] = {**memory.fixed(own)}
        if self._trunk:
            trunk = self._trunk.resolved(at, own.placement)
            fixed["weights_bytes"] = Counter(fixed["weights_bytes"]) + Counter(
                self._trunk.fixed(trunk)["weights_bytes"]
            )
        fixed["overhead_bytes"] = {
            card.device: _run_bytes(self.model, at, card.spec)
            for card in cards
            if card.spec and card.device in own.placement.cards
        }
        return fixed

    def compute_buffers(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> ComputeBuffers:
        """Those of its graph, replayed."""
        memory, own, _ = self._on(config, setup, cards)
        return memory.compute_by_device(own)

    def notes(self, config: RunConfig) -> Iterable[str]:
        """What llama-server does with a draft that nothing is asked of."""
        yield from let_go(config, BY_MODEL, SIMPLE)

    def _on(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> tuple[MemoryModel, Setup, RunConfig]:
        """Its memory on its own cards, and its configuration, resolved."""
        memory, at = self._asked(config, setup, cards)
        return memory, memory.resolved(at), at

    def _asked(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> tuple[MemoryModel, RunConfig]:
        """Its memory on its own cards, and its configuration."""
        at = draft_config(config).with_(
            n_ctx=setup.sizes.cells * setup.sizes.n_stream,
            n_gpu_layers=config.spec_draft_ngl,
            n_cpu_moe=config.spec_draft_n_cpu_moe,
            n_cpu_ffn=0,
            override_tensor=config.spec_draft_override_tensor,
            n_expert_used=None,
        )
        if config.spec_draft_device:
            names = device_names(config.spec_draft_device)
            cards = chosen_cards(cards, names) if cards else ()
            shares = (config.tensor_split or ())[: len(names)]
            at = at.with_(
                n_devices=len(names),
                tensor_split=shares if any(shares) else None,
                split_mode="layer" if len(names) == 1 else config.split_mode,
            )
        return self._memory.on(cards), at


def let_go(config: RunConfig, kinds: Collection[str], wanted: str) -> Iterator[str]:
    """What llama-server does with a draft where none of the `kinds` that use it is asked for."""
    if not set(config.spec_kinds) & set(kinds):
        yield (
            f"the draft model is loaded and then let go: llama-server drafts with it once "
            f"--spec-type {wanted} is given too"
        )


def draft_devices(config: RunConfig) -> tuple[str, ...]:
    """The cards that were named for the draft alone."""
    return device_names(config.spec_draft_device) if config.spec_draft_device else ()


def device_names(text: str) -> tuple[str, ...]:
    """The cards that `--spec-draft-device` names, none for `none`."""
    return () if text.strip().lower() == "none" else tuple(text.upper().replace(" ", "").split(","))


def head_of(model: ModelSpec, build: Build = LATEST) -> MtpHead:
    """The model's head; ConfigError, in words of the flag that asks for it, where it has none."""
    if n_decoding(model) == model.n_layer:
        raise ConfigError(
            f"{model.source} has no MTP head, and --spec-type {MTP} needs one; fetch a file that "
            "has it, or leave the flag out"
        )
    return MtpHead(model, build)


def _run_bytes(model: ModelSpec, config: RunConfig, gpu: GpuSpec) -> int:
    """What a context of its own takes of a card as it runs: a pool, and an exchange."""
    return pool_bytes(model, config, gpu) + exchange_bytes(model, config, gpu)
