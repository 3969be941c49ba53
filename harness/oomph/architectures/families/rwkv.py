"""RWKV-7: no attention, a state of matrices and the last token's norms."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Recurrence,
    Rope,
    Tensors,
)
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
        yield f"{name}.weight", (model.n_embd,)
        yield f"{name}.bias", (model.n_embd,)


def _time_mix(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Time mixing: matrices of low rank steer decay, learning, values and the gate."""
    n_embd = model.n_embd
    learning = model.integer("attention.iclr_lora_rank")
    values = model.integer("attention.value_residual_mix_lora_rank")
    ranks = {
        "w": model.integer("attention.decay_lora_rank"),
        "a": learning,
        "v": values if il else learning,
        "g": model.integer("attention.gate_lora_rank", 0),
    }
    for name, rank in ranks.items():
        if name != "g":
            yield f"time_mix_{name}0.weight", (n_embd,)
        yield f"time_mix_{name}1.weight", (n_embd, rank)
        yield f"time_mix_{name}2.weight", (rank, n_embd)
    yield "time_mix_lerp_fused.weight", (n_embd, 1, 1, 6)
    for name in ("k_k", "k_a", "r_k"):
        yield f"time_mix_{name}.weight", (n_embd,)
    for name in ("key", "value", "receptance", "output"):
        yield f"time_mix_{name}.weight", (n_embd, n_embd)


def _channel_mix(model: ModelSpec, il: int) -> Iterator[Tensor]:
    n_embd, n_ff = model.n_embd, model.per_layer("feed_forward_length")[0]
    yield "channel_mix_lerp_k.weight", (n_embd,)
    yield "channel_mix_key.weight", (n_embd, n_ff)
    yield "channel_mix_value.weight", (n_ff, n_embd)


def _outside(model: ModelSpec) -> Iterator[Tensor]:
    yield "token_embd_norm.weight", (model.n_embd,)
    yield "token_embd_norm.bias", (model.n_embd,)
    yield "output_norm.bias", (model.n_embd,)


_RANKS: Final = {
    "decay_lora_rank": ("lora_rank_decay", "decay_low_rank_dim", 0.5, 1.8),
    "iclr_lora_rank": ("lora_rank_iclr", "a_low_rank_dim", 0.5, 1.8),
    "value_residual_mix_lora_rank": ("lora_rank_value_residual_mix", "v_low_rank_dim", 0.5, 1.3),
    "gate_lora_rank": ("lora_rank_gate", "gate_low_rank_dim", 0.8, 0.6),
}
"""GGUF's keys, the config's two names for each, and how a width that is left out follows
(Rwkv7Model.calc_lora_rank)."""


def _translate(config: Config) -> dict[str, Value]:
    width: int = config["hidden_size"]
    eps = config.get("layer_norm_epsilon")
    found: dict[str, Value] = {
        "context_length": 1 << 20,
        "feed_forward_length": config["intermediate_size"] or 4 * width,
        "attention.head_count": 0,
        "attention.layer_norm_epsilon": config["norm_eps"] if eps is None else eps,
        "token_shift_count": 2,
        "wkv.head_size": config.get("head_size") or config["head_dim"],
    }
    for key, (name, other, exponent, factor) in _RANKS.items():
        told = config.get(name, config.get(other))
        rank = max(1, round(width**exponent * factor / 32)) * 32 if told is None else told
        found[f"attention.{key}"] = rank
    return found


FAMILIES: Final = (
    Family(
        name="rwkv7",
        tensors=Tensors(
            every=(_norms, _channel_mix),
            recurrent=(_time_mix,),
            dense=(),
            experts=(),
            outside=(_outside,),
        ),
        recurrence=Recurrence(layers="all", part="time_mix"),
        rope=Rope(layers="none"),
        graph=GraphRules(layer="rwkv7", norm="layer"),
        hugging_face=HuggingFace(model_types=("rwkv7",), translate=_translate),
    ),
)
