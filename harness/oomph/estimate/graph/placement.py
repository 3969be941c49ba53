"""Which device holds a layer, a weight or a cache."""

import re
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Final

from oomph.cards import Card, run_cards
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.graph.hparams import Hparams
from oomph.units import MIB

CPU: Final = "CPU"
CUDA_HOST: Final = "CUDA_Host"
META: Final = "Meta()"
"""All cards as the one device that --split-mode tensor computes on, by the name that llama.cpp
0.5.0 prints (ggml-backend-meta.cpp)."""

_INPUT_TENSORS: Final = (
    "token_embd.",
    "position_embd.",
    "token_types.",
    "per_layer_token_embd.",
    "d2t",
)
"""Tensors of the input layer, which always stays on the CPU (LLM_TENSOR_LAYER_INPUT), and a
drafter's table of tokens in 64-bit integers, of which no card can look up rows."""

_FIRST_LAYER_TENSORS: Final = (
    "per_layer_model_proj.",
    "per_layer_proj_norm.",
    "token_embd_norm.",
    "hrm.z_l_init",
    "nextn.pre_projection.",
)
"""Tensors outside the layers that llama.cpp loads with the first one."""

_LAYER: Final = re.compile(r"(?:(?:enc|dec)\.)?blk\.([0-9]{1,4})\.")
_CPU_MOE: Final = re.compile(r"blk\.(0|[1-9][0-9]*)\.ffn_(?:up|down|gate|gate_up)_(?:ch|)exps")
"""What `--n-cpu-moe` overrides, with the layer's number, of which llama.cpp makes a pattern each
(common/common.h, llm_ffn_exps_block_regex)."""
_KEPT_NAMES: Final = 16_384
"""Tensors whose names are taken apart once: those of several models."""


@lru_cache(maxsize=_KEPT_NAMES)
def layer_and_part(name: str) -> tuple[int | None, str]:
    """`blk.7.attn_q.weight` as (7, "attn_q.weight"), as an encoder's `enc.blk.7.attn_q.weight`; a
    tensor outside the blocks has no layer."""
    match = _LAYER.match(name)
    return (int(match[1]), name[len(match[0]) :]) if match else (None, name)


def layer_of(name: str) -> int | None:
    """The layer that a tensor's name belongs to; None for one outside the layers."""
    return layer_and_part(name)[0]


@lru_cache(maxsize=_KEPT_NAMES)
def _experts_of(name: str) -> int | None:
    """The layer of what `--n-cpu-moe` overrides; None for any other tensor."""
    match = _CPU_MOE.search(name)
    return int(match[1]) if match else None


def loaded_for(name: str, output_norm: str) -> int | None:
    """The layer that a tensor outside the layers is loaded for, where it is one; LFM2's last norm
    has the name of BERT's first."""
    is_first = name.startswith(_FIRST_LAYER_TENSORS) and name != f"{output_norm}.weight"
    return 0 if is_first else None


def is_loaded(name: str, hparams: Hparams) -> bool:
    """Whether a tensor is the part's own; what is in no layer is the trunk's, and so is what of a
    prediction head is always loaded."""
    il, part = layer_and_part(name)
    if il is None:
        return not hparams.is_head
    runs = il in hparams.running
    if runs != hparams.is_head:
        return runs
    return part.startswith(hparams.family.loaded_of_heads) != hparams.is_head


def float32(x: float) -> float:
    """`x` as a C float holds it."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


def placing_knobs(config: RunConfig) -> tuple[object, ...]:
    """All of a configuration that decides where a model lies."""
    return (
        config.n_devices,
        config.split_mode,
        config.main_gpu,
        config.tensor_split,
        config.n_gpu_layers,
        config.override_tensor,
        config.tensor_overrides,
        config.n_cpu_moe,
        config.n_cpu_ffn,
        config.offload_kqv,
        config.moe_cache_mib,
    )


class Placement:
    """Where everything of one model lies under one configuration.

    Devices have llama.cpp's names. `n_layer_all` counts multi-token-prediction layers: the output
    is the layer after them, and the first that goes to a card. Without a `tensor_split` llama.cpp
    divides the layers by the free memory of `machine`'s cards; of cards that nothing is known of it
    is taken to be equal. `on_host` are weights that no card computes with, by name; `lent` are
    tensors and caches of another model that this one's graph reads, with their devices. Raises
    ConfigError for knobs that name no card or no valid pattern.
    """

    def __init__(
        self,
        config: RunConfig,
        n_layer_all: int,
        machine: Sequence[Card] = (),
        on_host: frozenset[str] = frozenset(),
        lent: Mapping[str, str] | None = None,
    ) -> None:
        self._n_layer_all, self._on_host = n_layer_all, on_host
        self.offloads_kqv = config.offload_kqv
        devices = _devices(config, machine)
        self.cards = tuple(devices)
        self.is_cut = config.split_mode == "tensor" and bool(self.cards)
        """Whether each card has a slice of every layer, and all compute as one device."""
        self._computing = (META,) if self.is_cut else self.cards
        n_gpu_layers = config.n_gpu_layers if config.n_gpu_layers >= 0 else n_layer_all + 1
        self.offloads_all = bool(self.cards) and n_gpu_layers > n_layer_all
        self._on_cards = min(n_gpu_layers, n_layer_all + 1) if self.cards else 0
        self._first = max(n_layer_all + 1 - n_gpu_layers, 0)
        splits = _splits(config, tuple(devices.values()))
        self._splits = [1.0] if self.is_cut else splits
        self._overrides = _overrides(config, () if self.is_cut else self.cards)
        self._n_cpu_moe = min(config.n_cpu_moe, n_layer_all)
        self.has_overrides = bool(self._overrides or self._n_cpu_moe or on_host)
        self.pipeline = (
            len(self.cards) > 1
            and self.offloads_all
            and config.offload_kqv
            and config.split_mode == "layer"
            and not self._overrides
            and not self._n_cpu_moe
        )
        held = Counter(self._layers)
        # what two placements of a model share when they are the same
        self.key = (
            self.cards,
            self._first,
            self._on_cards,
            tuple(held[each] for each in self._computing),
            tuple(self._splits) if config.moe_cache_mib else (),
            config.split_mode,
            config.tensor_split if self.is_cut else None,
            config.override_tensor,
            config.n_cpu_moe,
            config.n_cpu_ffn,
            config.offload_kqv,
            config.moe_cache_mib,
            on_host,
            tuple((lent or {}).items()),
        )
        self._lent = lent or {}
        self._homes: dict[str, str] = {}
        self.is_simple = not (self.is_cut or self._lent)
        """Whether a graph depends on `frame` and on what lies where in each layer, and on nothing
        else."""
        self._moe_cache_bytes = config.moe_cache_mib * MIB

    @cached_property
    def backends(self) -> tuple[str, ...]:
        """The scheduler's backends by priority: the cards, or all of them as one, the CPU last."""
        return (*self._computing, CPU)

    @cached_property
    def frame(self) -> tuple[object, ...]:
        """What a graph depends on beside the devices of its layers."""
        return (self.cards, self.output, self.offloads_all, self.offloads_kqv, self.pipeline)

    @property
    def holders(self) -> tuple[tuple[str, ...], ...]:
        """The devices that hold each backend's compute buffer: with --split-mode tensor every card
        has one for the whole tensors (ggml_backend_meta_buffer_type_alloc_buffer)."""
        return (self.cards, (CPU,)) if self.is_cut else tuple((each,) for each in self.backends)

    @property
    def host(self) -> str:
        """The name of the buffers that the CPU backend computes in: pinned memory where there is a
        card."""
        return CUDA_HOST if self.cards else CPU

    def layer(self, il: int) -> str:
        """The device of layer `il`; the output is the layer after the last."""
        return self._layers[il] if il < len(self._layers) else self._divided(il)

    @cached_property
    def _layers(self) -> tuple[str, ...]:
        return tuple(map(self._divided, range(self._n_layer_all + 1)))

    def _divided(self, il: int) -> str:
        """The device of a layer by its share of those on cards."""
        if il < self._first or il - self._first >= self._on_cards:
            return CPU
        share = float32((il - self._first) / self._on_cards)
        return self._computing[min(bisect_right(self._splits, share), len(self._computing) - 1)]

    def has_on_host(self, layers: range) -> bool:
        """Whether any of these layers is on the CPU."""
        return CPU in self._layers[layers.start : layers.stop]

    @property
    def on_cards(self) -> range:
        """The layers that go to cards, the output after the last among them."""
        end = min(self._first + self._on_cards, self._n_layer_all + 1)
        return range(self._first, end)

    def expert_caches(self, cards: Collection[str]) -> dict[str, int]:
        """What a newer llama.cpp's cache of experts takes at most of these cards, whose layers'
        experts lie on the host: its budget, divided as the layers are (llama_moe_cache)."""
        ends = (0.0, *self._splits)
        shares = {card: ends[i + 1] - ends[i] for i, card in enumerate(self.cards) if card in cards}
        whole = sum(shares.values()) or 1.0
        return {card: int(self._moe_cache_bytes * share / whole) for card, share in shares.items()}

    @property
    def output(self) -> str:
        """The device of the output norm and the logits."""
        return self.layer(self._n_layer_all)

    def cache(self, il: int) -> str:
        """The device of layer `il`'s KV cache or recurrent state."""
        if il < 0:  # of another model
            return self._lent[f"cache_l{il}"]
        return self.layer(il) if self.offloads_kqv else CPU

    def weight(self, name: str, il: int | None = None) -> str:
        """The device of a tensor; `il` for one without a layer's number that is loaded for a layer
        (rope_freqs)."""
        if il is not None:
            return self._home(name, il)
        if name not in self._homes:
            self._homes[name] = self._home(name, None)
        return self._homes[name]

    def _home(self, name: str, il: int | None) -> str:
        if name in self._lent:
            return self._lent[name]
        for pattern, device in self._overrides:
            if pattern.search(name):
                return device
        experts = _experts_of(name) if self._n_cpu_moe else None
        if experts is not None and experts < self._n_cpu_moe:
            return CPU
        if name.startswith(_INPUT_TENSORS) or name in self._on_host:
            return CPU
        own = layer_of(name)
        if own is None:
            own = self._n_layer_all if il is None else il
        return self.layer(own)


def _devices(config: RunConfig, machine: Sequence[Card]) -> dict[str, float]:
    """The free bytes of each card that the run uses, by its name; 1 where nothing is known."""
    known = run_cards(machine, config.n_devices)
    found = {card.device: float(card.free_bytes or card.memory_bytes) for card in known} or {
        f"CUDA{i}": 1.0 for i in range(config.n_devices)
    }
    if config.split_mode != "none" or not found:
        return found
    if not 0 <= config.main_gpu < len(found):
        raise ConfigError(
            f"main_gpu is {config.main_gpu}, and there are {len(found)} cards; choose one below "
            "that"
        )
    name = tuple(found)[config.main_gpu]
    return {name: found[name]}


def _splits(config: RunConfig, free_bytes: tuple[float, ...]) -> list[float]:
    """Cumulative shares of the cards, in float32 as llama.cpp adds and compares them
    (llama_model_base::load_tensors): those that are said, else by free memory."""
    said = config.tensor_split or ()
    if any(share < 0 for share in said):
        raise ConfigError(
            f"tensor_split {config.tensor_split} has a negative share; give one of 0 or more a card"
        )
    if any(said[config.n_devices :]) and config.n_devices:
        raise ConfigError(
            f"tensor_split has {len(said)} shares, and there are {config.n_devices} cards; give a "
            "share for each card"
        )
    n_cards = len(free_bytes)
    shares = [*said[:n_cards], *[0.0] * (n_cards - len(said))]
    sofar = list(accumulate(map(float32, shares if any(shares) else free_bytes), _add_float32))
    return [float32(each / sofar[-1]) for each in sofar]


def _add_float32(a: float, b: float) -> float:
    return float32(a + b)


def _overrides(config: RunConfig, cards: tuple[str, ...]) -> list[tuple[re.Pattern[str], str]]:
    """The patterns in the order that llama.cpp tries them before those of `n_cpu_moe`, each with
    the device of its buffer type."""
    pairs = []
    for item in (config.tensor_overrides or "").split(","):
        if not item:
            continue
        pattern, equals, buffer = item.rpartition("=")
        if not equals or buffer not in (*cards, CPU, CUDA_HOST):
            raise ConfigError(
                f"override_tensor {item!r} is not pattern=buffer; the buffers are "
                f"{', '.join((CPU, *cards))}"
            )
        pairs.append((pattern, CPU if buffer == CUDA_HOST else buffer))
    try:
        return [(re.compile(pattern), device) for pattern, device in pairs]
    except re.error as error:
        raise ConfigError(
            f"override_tensor has a pattern that is no regular expression: {error}"
        ) from None
