"""RWKV: no attention, a state of matrices and the last token's norms; and Qwens made so."""

from collections.abc import Callable, Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
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


def _time_mix_norm(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield "time_mix_ln.weight", (model.n_embd,)
    yield "time_mix_ln.bias", (model.n_embd,)


def _time_mix_7(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Time mixing: matrices of low rank steer decay, learning, values and the gate."""
    n_embd = model.n_embd
    learning = model.integer("attention.iclr_lora_rank")
    values = model.integer("attention.value_residual_mix_lora_rank")
    gate = model.integer("attention.gate_lora_rank", 0)
    ranks = {
        "w": model.integer("attention.decay_lora_rank"),
        "a": learning,
        "v": values if il else learning,
        "g": gate,
    }
    for name, rank in ranks.items():
        if name != "g":
            yield f"time_mix_{name}0.weight", (n_embd,)
        if rank:
            yield f"time_mix_{name}1.weight", (n_embd, rank)
            yield f"time_mix_{name}2.weight", (rank, n_embd)
    yield "time_mix_lerp_fused.weight", (n_embd, 1, 1, 6 if gate else 5)
    for name in ("k_k", "k_a", "r_k"):
        yield f"time_mix_{name}.weight", (n_embd,)
    for name in ("key", "value", "receptance", "output"):
        yield f"time_mix_{name}.weight", (n_embd, n_embd)


def _time_mix_6(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Time mixing: one matrix of low rank steers all five mixtures, another the decay."""
    n_embd = model.n_embd
    mixing, decay = model.integer("time_mix_extra_dim"), model.integer("time_decay_extra_dim")
    yield "time_mix_w1.weight", (n_embd, 5 * mixing)
    yield "time_mix_w2.weight", (mixing, n_embd, 5)
    yield "time_mix_lerp_x.weight", (n_embd,)
    yield "time_mix_lerp_fused.weight", (n_embd, 1, 1, 5)
    yield "time_mix_decay.weight", (n_embd,)
    yield "time_mix_decay_w1.weight", (n_embd, decay)
    yield "time_mix_decay_w2.weight", (decay, n_embd)
    for name in ("receptance", "gate", "output"):
        yield f"time_mix_{name}.weight", (n_embd, n_embd)


def _first_token(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What a token adds to its own state (time_faaaa)."""
    size = model.integer("wkv.head_size")
    yield "time_mix_first.weight", (size, model.n_embd // size)


def _keys_and_values(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Of fewer heads than there are receptances, where the metadata say so."""
    width = model.integer("wkv.head_size") * model.integer("attention.head_count_kv", 0)
    for name in ("key", "value"):
        yield f"time_mix_{name}.weight", (model.n_embd, width or model.n_embd)


def _receptance_biases(model: ModelSpec, il: int) -> Iterator[Tensor]:
    for name, (_, width) in _keys_and_values(model, il):
        yield name.replace("weight", "bias"), (width,)
    yield "time_mix_receptance.bias", (model.n_embd,)


def _channel_mix(model: ModelSpec, il: int) -> Iterator[Tensor]:
    n_embd, n_ff = model.n_embd, model.per_layer("feed_forward_length")[0]
    yield "channel_mix_lerp_k.weight", (n_embd,)
    yield "channel_mix_key.weight", (n_embd, n_ff)
    yield "channel_mix_value.weight", (n_ff, n_embd)


def _gated_channel_mix(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield from _channel_mix(model, il)
    yield "channel_mix_lerp_r.weight", (model.n_embd,)
    yield "channel_mix_receptance.weight", (model.n_embd, model.n_embd)


def _outside(model: ModelSpec) -> Iterator[Tensor]:
    yield "token_embd_norm.weight", (model.n_embd,)
    yield "token_embd_norm.bias", (model.n_embd,)
    yield "output_norm.bias", (model.n_embd,)


_ENDLESS: Final = 1 << 20
"""Tokens that the converter says of what has no cache to fill."""
_WIDE: Final = 4096
"""The width from which a token's mixing and decay have wider matrices, where no width is told."""
_RANKS: Final = {
    "decay_lora_rank": ("lora_rank_decay", "decay_low_rank_dim", 0.5, 1.8),
    "iclr_lora_rank": ("lora_rank_iclr", "a_low_rank_dim", 0.5, 1.8),
    "value_residual_mix_lora_rank": ("lora_rank_value_residual_mix", "v_low_rank_dim", 0.5, 1.3),
    "gate_lora_rank": ("lora_rank_gate", "gate_low_rank_dim", 0.8, 0.6),
}
"""GGUF's keys, the config's two names for each, and how a width that is left out follows
(Rwkv7Model.calc_lora_rank)."""


def _translate_6(config: Config) -> dict[str, Value]:
    width: int = config["hidden_size"]
    if not config["head_size"]:
        raise ValueError("head_size = 0")
    return {
        "context_length": _ENDLESS,
        "feed_forward_length": config["intermediate_size"] or int(width * 3.5) // 32 * 32,
        "attention.head_count": 0,
        "attention.head_count_kv": 0,
        "attention.layer_norm_epsilon": config["layer_norm_epsilon"],
        "rescale_every_n_layers": config["rescale_every"],
        "time_decay_extra_dim": 128 if width == _WIDE else 64,
        "time_mix_extra_dim": 64 if width == _WIDE else 32,
        "wkv.head_size": config["head_size"],
    }


def _translate_7(config: Config) -> dict[str, Value]:
    width: int = config["hidden_size"]
    eps = config.get("layer_norm_epsilon")
    found: dict[str, Value] = {
        "context_length": _ENDLESS,
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


def _translate_qwen_6(config: Config) -> dict[str, Value]:
    width: int = config["hidden_size"]
    return {
        "context_length": _ENDLESS,
        "attention.head_count": 0,
        "time_decay_extra_dim": config.get("lora_rank_decay", 128 if width >= _WIDE else 64),
        "time_mix_extra_dim": config.get("lora_rank_tokenshift", 64 if width >= _WIDE else 32),
        "token_shift_count": 1,
        "wkv.head_size": width // config["num_attention_heads"],
    }


def _translate_qwen_7(config: Config) -> dict[str, Value]:
    """The ranks are the same whatever the model (ARwkv7Model)."""
    return {
        "context_length": _ENDLESS,
        "attention.decay_lora_rank": 64,
        "attention.gate_lora_rank": 128 if config["wkv_has_gate"] else 0,
        "attention.head_count": 0,
        "attention.head_count_kv": 0,
        "attention.iclr_lora_rank": 64,
        "attention.value_residual_mix_lora_rank": 32,
        "token_shift_count": 1,
        "wkv.head_size": config["head_size"],
    }


_RECURRENCE: Final = Recurrence(layers="all", part="time_mix")
_NORMS: Final = parts.layer_norm("attn_norm", "attn_norm_2")


def _tensors(
    *time_mix: parts.Part,
    channel_mix: parts.Part,
    outside: tuple[Callable[[ModelSpec], Iterator[Tensor]], ...] = (_outside,),
    norms: parts.Part = _NORMS,
) -> Tensors:
    return Tensors(
        every=(norms, channel_mix), recurrent=time_mix, dense=(), experts=(), outside=outside
    )


FAMILIES: Final = (
    Family(
        name="rwkv6",
        tensors=_tensors(
            _time_mix_6,
            _first_token,
            _keys_and_values,
            _time_mix_norm,
            channel_mix=_gated_channel_mix,
        ),
        recurrence=_RECURRENCE,
        rope=Rope(layers="none"),
        graph=GraphRules(layer="rwkv", norm="layer"),
        hugging_face=HuggingFace(model_types=("rwkv6",), translate=_translate_6),
    ),
    Family(
        name="rwkv7",
        tensors=_tensors(_time_mix_7, _time_mix_norm, channel_mix=_channel_mix),
        recurrence=_RECURRENCE,
        rope=Rope(layers="none"),
        graph=GraphRules(layer="rwkv", norm="layer"),
        hugging_face=HuggingFace(model_types=("rwkv7",), translate=_translate_7),
    ),
    Family(
        name="rwkv6qwen2",
        tensors=_tensors(
            _time_mix_6,
            _keys_and_values,
            _receptance_biases,
            channel_mix=parts.gated,
            outside=(),
            norms=parts.norm("attn_norm", "ffn_norm"),
        ),
        recurrence=_RECURRENCE,
        rope=Rope(layers="none"),
        graph=GraphRules(layer="rwkv"),
        hugging_face=HuggingFace(model_types=("rwkv6qwen2",), translate=_translate_qwen_6),
    ),
    Family(
        name="arwkv7",
        tensors=_tensors(
            _time_mix_7,
            channel_mix=parts.gated,
            outside=(),
            norms=parts.norm("attn_norm", "ffn_norm"),
        ),
        recurrence=_RECURRENCE,
        rope=Rope(layers="none"),
        graph=GraphRules(layer="rwkv"),
        hugging_face=HuggingFace(model_types=("rwkv_hybrid",), translate=_translate_qwen_7),
    ),
)
