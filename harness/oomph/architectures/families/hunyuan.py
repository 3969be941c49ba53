"""Tencent's Hunyuan, dense, with images and A13B: q and k are normed after RoPE; and Hy3."""

from collections.abc import Iterator, Sequence
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import (
    Config,
    blocks_with_heads,
    four_sections,
    rope_kind,
    rope_table,
    rotary_width,
)
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value

_FAR: Final = 262144
"""Tokens that the converter says of a model whose RoPE is scaled by an alpha."""


def _stretched(config: Config, width: int) -> dict[str, Value]:
    """RoPE's base where an alpha scales it (NTK-aware), and how far it then reaches."""
    rope, kind = rope_table(config), rope_kind(config)
    if kind not in ("dynamic", "xdrope"):
        return {}
    base = rope.get("rope_theta", config.get("rope_theta", 1e4))
    scaled = base * rope.get("alpha", 50) ** (width / (width - 2))
    return {"rope.freq_base": scaled} | ({"context_length": _FAR} if kind == "dynamic" else {})


def _translate(config: Config) -> dict[str, Value]:
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    found = rotary_width(config) | _stretched(config, width)
    return found | {"expert_count": 0, "expert_used_count": 0}


def _translate_vision(config: Config) -> dict[str, Value]:
    rope = rope_table(config)
    sections = rope.get("xdrope_section", rope.get("mrope_section"))
    found = _translate(config) | {"context_length": config["max_position_embeddings"]}
    if sections is None:
        return found
    base: float = rope["rope_theta"] if "rope_theta" in rope else config["rope_theta"]
    return found | {"rope.freq_base": base, "rope.dimension_sections": four_sections(sections)}


def _alike(values: Sequence[int]) -> int:
    """What all layers have; ValueError where they differ, as the converter does not take them."""
    if len(set(values)) != 1:
        raise ValueError(f"{values!r}")
    return values[0]


def _translate_moe(config: Config) -> dict[str, Value]:
    width = _alike(config["moe_intermediate_size"])
    found = rotary_width(config) | _stretched(
        config, config["hidden_size"] // config["num_attention_heads"]
    )
    return found | {
        "expert_feed_forward_length": width,
        "expert_shared_count": _alike(config["num_shared_expert"]),
        "expert_shared_feed_forward_length": config["intermediate_size"],
        "expert_used_count": _alike(config["moe_topk"]),
    }


_DENSE: Final = Tensors(attention=parts.NORMED_ATTENTION)
_ROTATED_FIRST: Final = GraphRules(qk_norm="rotated")


def _bare_selection_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The bias that balances the choice of experts, which is named bare."""
    yield "exp_probs_b", (model.n_expert,)


def _shared_expert(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """As wide as a routed one where the metadata do not say."""
    n_ff = model.integer("expert_shared_feed_forward_length", 0) or parts.expert_width(model)
    yield "ffn_gate_shexp.weight", (model.n_embd, n_ff)
    yield "ffn_up_shexp.weight", (model.n_embd, n_ff)
    yield "ffn_down_shexp.weight", (n_ff, model.n_embd)


def _translate_hy3(config: Config) -> dict[str, Value]:
    shared = config["moe_intermediate_size"] * config.get("num_shared_experts", 1)
    found = rotary_width(config) | blocks_with_heads(config)
    return found | {
        "expert_gating_func": 2,
        "expert_shared_feed_forward_length": shared,
        "expert_weights_norm": bool(config.get("route_norm", True)),
        "expert_weights_scale": config.get("router_scaling_factor", 1.0),
    }


FAMILIES: Final = (
    Family(
        name="hunyuan-dense",
        tensors=_DENSE,
        rope=Rope(is_whole=True),
        graph=_ROTATED_FIRST,
        hugging_face=HuggingFace(model_types=("hunyuan_v1_dense",), translate=_translate),
    ),
    Family(
        name="hunyuan_vl",
        tensors=_DENSE,
        rope=Rope(sections="listed", is_whole=True),
        graph=_ROTATED_FIRST,
        hugging_face=HuggingFace(
            model_types=("hunyuan_vl", "hunyuan_vl_text"), translate=_translate_vision
        ),
    ),
    Family(
        name="hunyuan-moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.SHARED_EXPERTS),
        graph=_ROTATED_FIRST,
        hugging_face=HuggingFace(model_types=("hunyuan_v1_moe",), translate=_translate_moe),
    ),
    Family(
        name="hy_v3",
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION,
            experts=(parts.experts, _shared_expert, _bare_selection_bias),
            next_token=(parts.next_token_projection,),
        ),
        rope=Rope(is_whole=True),
        graph=GraphRules(
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            outputs_at="after_norm",
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(model_types=("hy_v3",), translate=_translate_hy3),
        loaded_of_heads=(*parts.FEED_FORWARD_NAMES, *parts.NEXT_TOKEN_NAMES),
    ),
)
