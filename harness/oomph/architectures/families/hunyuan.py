"""Tencent's Hunyuan, dense, with images and A13B: q and k are normed after RoPE; Hy3 and Hy4."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.deepseek import hyper_head, indexer, latent_attention
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rope_table, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value

_FAR: Final = 262144
"""Tokens that the converter says of a model whose RoPE is scaled by an alpha."""


def _translate(config: Config) -> dict[str, Value]:
    rope = rope_table(config)
    is_scaled = rope.get("rope_type", rope.get("type")) == "dynamic"
    return rotary_width(config) | ({"context_length": _FAR} if is_scaled else {})


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
    n_next = config.get("num_nextn_predict_layers", 0)
    shared = config["moe_intermediate_size"] * config.get("num_shared_experts", 1)
    return rotary_width(config) | {
        "block_count": config["num_hidden_layers"] + n_next,
        "nextn_predict_layers": n_next,
        "expert_gating_func": 2,
        "expert_shared_feed_forward_length": shared,
        "expert_weights_norm": bool(config.get("route_norm", True)),
        "expert_weights_scale": config.get("router_scaling_factor", 1.0),
    }


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
    ),
    Family(
        name="hunyuan-moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.SHARED_EXPERTS),
        graph=_ROTATED_FIRST,
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
        required=(
            "expert_shared_count",
            *(f"attention.{which}_lora_rank" for which in ("q", "kv")),
            *(f"attention.{which}_length_mla" for which in ("key", "value")),
            *(f"hyper_connection.{key}" for key in ("count", "epsilon", "magnitude")),
        ),
    ),
)
