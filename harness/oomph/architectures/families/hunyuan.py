"""Tencent's Hunyuan, dense, with images and A13B: q and k are normed after RoPE; Hy3 and Hy4."""

from collections.abc import Iterator, Sequence
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.deepseek import (
    hyper_head,
    indexer,
    indexer_keys,
    latent_attention,
    translate_latent,
)
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


def _translate_hy4(config: Config) -> dict[str, Value]:
    """Without the heads for multi-token prediction, which the converter leaves out."""
    n_layer = config["num_hidden_layers"]
    found = translate_latent(config) | {
        "expert_gating_func": 2,
        "hyper_connection.count": config["hc_mult"],
        "hyper_connection.epsilon": config["hc_eps"],
        "hyper_connection.magnitude": config["hc_magnitude"],
    }
    if config.get("first_k_dense_replace") is None:
        listed = config["mlp_layer_types"]
        found["leading_dense_block_count"] = next(
            (il for il, kind in enumerate(listed) if kind != "dense"), len(listed)
        )
    if limit := config.get("swiglu_limit"):
        found["swiglu_clamp_exp"] = (float(limit),) * n_layer
    owns = _index_owners(config)
    return (
        found if owns is None else found | indexer_keys(config) | {"attention.indexer.types": owns}
    )


def _index_owners(config: Config) -> tuple[int, ...] | None:
    """The layers with an indexer of their own; None of a model that looks at all cells."""
    n_layer = config["num_hidden_layers"]
    if (kinds := config.get("indexer_types")) is not None:
        if len(kinds) < n_layer:
            raise ValueError(f"indexer_types = {kinds!r}")
        return tuple(int(kind == "full") for kind in kinds[:n_layer])
    owns = tuple(int("sparse_attention" in kind) for kind in config.get("layer_types") or ())
    if 0 < len(owns) < n_layer:
        raise ValueError(f"layer_types = {config['layer_types']!r}")
    return owns[:n_layer] if any(owns) else None


def _gate_by_element(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate on each element of latent attention's output."""
    width = parts.heads(model, il)[0] * model.integer("attention.value_length_mla")
    yield "attn_gate.weight", (model.n_embd, width)


def _indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """None where the model looks at all cells."""
    if model.integer("attention.indexer.top_k", 0):
        yield from indexer(model, il)


def _streams(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What weighs the residual streams for each part, and its result for them."""
    n = model.integer("hyper_connection.count")
    for part in ("attn", "ffn"):
        yield f"hc_{part}_fn.weight", (n * model.n_embd, 2 * n)
        yield f"hc_{part}_base.weight", (2 * n,)
        yield f"hc_{part}_scale.weight", (2,)


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
    Family(
        name="hy_v4",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _streams),
            attention=(latent_attention, parts.attention_sinks, _gate_by_element),
            indexer=(_indexer,),
            experts=parts.BALANCED_EXPERTS,
            outside=(hyper_head,),
        ),
        rope=Rope(factors="none"),
        graph=GraphRules(
            layer="independent_hyper",
            fuses_clamp=True,
            indexers="listed",
            turns_index=False,
            expert_gating="metadata",
            expert_weights_norm=None,
            nodes_per_token=40,
        ),
        hugging_face=HuggingFace(
            model_types=("hy_v4", "HYV4ForCausalLM"), translate=_translate_hy4
        ),
        required=(
            "expert_shared_count",
            *(f"attention.{which}_lora_rank" for which in ("q", "kv")),
            *(f"attention.{which}_length_mla" for which in ("key", "value")),
            *(f"hyper_connection.{key}" for key in ("count", "epsilon", "magnitude")),
        ),
    ),
)
