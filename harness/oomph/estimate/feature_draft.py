"""A head in a file of its own that drafts by the target's features: EAGLE-3, DFlash, DSpark.

llama-server gives it what comes into some layers of the target (llama_set_embeddings_layer_inp), so
that the target's graph keeps those; its own graph reads the target's embedding and output where its
file has none (ctx_other; src/models/eagle3.cpp and dflash.cpp).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.layers import n_decoding
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.buffers import Setup
from oomph.estimate.build import LATEST, Build
from oomph.estimate.draft import DraftModel, let_go
from oomph.estimate.graph.placement import CPU, Placement
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import is_card
from oomph.gguf.header import TensorInfo
from oomph.speculation import DRAFTERS
from oomph.units import count, mib

_TOKENS: Final = "token_embd.weight"
_OUTPUT: Final = "output.weight"
_GIVES_INPUTS: Final = frozenset({
    "bailingmoe3", "deepseek4", "gemma4", "gpt-oss", "hunyuan_vl", "lfm2", "lfm2moe", "llama",
    "mimo2", "minimax-01", "minimax-m2", "muse-glimmer", "nanbeige", "nemotron_h", "nemotron_h_moe",
    "qwen3", "qwen35", "qwen35moe", "qwen3moe", "qwen3next", "qwen4exp",
})  # fmt: skip
"""Architectures whose graphs name the inputs of their layers (t_layer_inp in src/models/*.cpp)."""
_N_READ: Final = 3
"""Layers that EAGLE-3 reads."""
_OF_DEEPSEEK: Final = "hc_head_fn.weight"
"""A tensor of DeepSeek V4's DSpark, whose blocks are that model's own."""


class FeatureDraft(DraftModel):
    """A head beside the model that it drafts for; ConfigError where the two do not go together."""

    def __init__(
        self,
        target: ModelSpec,
        model: ModelSpec,
        build: Build = LATEST,
        *,
        is_dry_run: bool = False,
    ) -> None:
        self._target, self._build = target, build
        if _OF_DEEPSEEK in model.tensors:
            raise ConfigError(
                f"{model.source} is a DSpark head of DeepSeek V4: what that takes beyond its "
                f"weights ({mib(model.n_bytes)}) is not known"
            )
        self.read_layers = _read_layers(target, model)
        self._lent = dict(_lent(target, model))
        self.is_fitted = not self._lent
        super().__init__(model, build, is_dry_run=is_dry_run, lent=self._lent)

    def dry(self) -> "FeatureDraft":
        """The same as llama.cpp counts it without allocating."""
        return FeatureDraft(self._target, self.model, self._build, is_dry_run=True)

    def notes(self, config: RunConfig) -> Iterable[str]:
        """What llama-server does with a head that nothing is asked of."""
        kinds = DRAFTERS[self.model.arch]
        yield from let_go(config, kinds, kinds[0])

    def _on(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> tuple[MemoryModel, Setup, RunConfig]:
        memory, at = self._asked(config, setup, cards)
        if config.split_mode == "tensor":
            raise ConfigError(
                f"{self.model.source}: what a head of architecture {self.model.arch!r} takes with "
                "split_mode tensor is not known; use layer"
            )
        homes = {_TOKENS: CPU, _OUTPUT: setup.placement.output}
        lent = {name: homes[name] for name in self._lent}
        placement = Placement(at, self.model.n_layer, memory.cards, lent=lent)
        for name, device in lent.items():
            if is_card(device) and device not in placement.cards:
                raise ConfigError(
                    f"{self.model.source} reads the model's {name}, which is on {device}: "
                    "--spec-draft-device has to name that card too"
                )
        return memory, memory.resolved(at, placement), at


def _read_layers(target: ModelSpec, draft: ModelSpec) -> tuple[int, ...]:
    """The layers of the target whose inputs the head reads."""
    if target.arch not in _GIVES_INPUTS:
        raise ConfigError(
            f"llama.cpp aborts with {draft.source}: it reads inputs of layers, and a model of "
            f"architecture {target.arch} gives none out"
        )
    read = draft.metadata.get(f"{draft.arch}.target_layers")
    layers = (
        tuple(each for each in read if isinstance(each, int)) if isinstance(read, tuple) else ()
    )
    if draft.arch == "eagle3" and len(layers) != _N_READ:
        raise ConfigError(
            f"{draft.source} lists {len(layers)} target_layers, and llama.cpp reads {_N_READ}"
        )
    if not layers:
        raise ConfigError(f"{draft.source} lists no target_layers; is the file complete?")
    last = n_decoding(target) - (draft.arch != "eagle3")
    if not 0 < min(layers) <= max(layers) <= last:
        raise ConfigError(
            f"{draft.source} reads layer {max(layers)}, and {target.source} has "
            f"{n_decoding(target)}: it is the head of another model"
        )
    width = draft.integer("target_hidden_size", draft.n_embd)
    if width != target.n_embd:
        raise ConfigError(
            f"{draft.source} reads features of {count(width)} numbers, and those of "
            f"{target.source} have {count(target.n_embd)}: it is the head of another model"
        )
    return layers


def _lent(target: ModelSpec, draft: ModelSpec) -> Iterable[tuple[str, TensorInfo]]:
    """What the head reads of the target's tensors, for its file has none."""
    if _TOKENS not in draft.tensors:
        yield _TOKENS, target.tensors[_TOKENS]
    is_tied = family_of(draft.arch).head != "lent" and _TOKENS in draft.tensors
    if _OUTPUT not in draft.tensors and not is_tied:
        yield _OUTPUT, target.tensors.get(_OUTPUT) or target.tensors[_TOKENS]
