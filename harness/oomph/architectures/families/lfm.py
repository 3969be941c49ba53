"""Liquid AI's LFM2: short convolutions between layers of attention."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Recurrence, Tensors
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _short_convolution(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated short convolution."""
    n_embd = model.n_embd
    yield "shortconv.conv.weight", (model.integer("shortconv.l_cache"), n_embd)
    yield "shortconv.in_proj.weight", (n_embd, 3 * n_embd)
    yield "shortconv.out_proj.weight", (n_embd, n_embd)


def _translate(config: Config) -> dict[str, Value]:
    n_head_kv, kinds = config["num_key_value_heads"], config["layer_types"]
    return {
        "attention.head_count_kv": tuple(0 if kind == "conv" else n_head_kv for kind in kinds),
        "attention.layer_norm_rms_epsilon": config["norm_eps"],
        "shortconv.l_cache": config["conv_L_cache"],
    }


def _translate_dense(config: Config) -> dict[str, Value]:
    n_ff = config.get("block_ff_dim") or config["intermediate_size"]
    if config["block_auto_adjust_ff_dim"]:
        n_ff, unit = int(2 * n_ff / 3), config["block_multiple_of"]
        if config["block_ffn_dim_multiplier"] is not None:
            n_ff = int(config["block_ffn_dim_multiplier"] * n_ff)
        n_ff = -(-n_ff // unit) * unit
    return _translate(config) | {"feed_forward_length": n_ff}


def _translate_moe(config: Config) -> dict[str, Value]:
    return _translate(config) | {
        "expert_gating_func": 2,
        "leading_dense_block_count": config["num_dense_layers"],
    }


FAMILIES: Final = tuple(
    Family(
        name=name,
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION,
            recurrent=(_short_convolution,),
            experts=(parts.experts, parts.selection_bias),
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="short_conv", rolls_back=True),
        graph=GraphRules(expert_gating="metadata", mixing_first=False, feed_forward_first=False),
        output_norm="token_embd_norm",
        head="of_text",
        hugging_face=HuggingFace(
            model_types=(config_name,),
            translate=translate,
            defaults={"tie_word_embeddings": True},
        ),
    )
    for name, config_name, translate in (
        ("lfm2", "lfm2", _translate_dense),
        ("lfm2moe", "lfm2_moe", _translate_moe),
    )
)
