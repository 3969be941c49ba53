"""NVIDIA's Nemotron, pruned Llamas (DeciLM), and Nemotron-H, whose layers have one part each."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Recurrence, Rope, Tensors
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _ungated_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Experts without a gate, on a narrower projection of the tokens where the model has one."""
    n_embd, n_expert, n_ff = model.n_embd, model.n_expert, parts.expert_width(model)
    shared = model.integer("expert_shared_feed_forward_length", 0)
    width = model.integer("moe_latent_size", 0) or n_embd
    if width != n_embd:
        yield "ffn_latent_down.weight", (n_embd, width)
        yield "ffn_latent_up.weight", (width, n_embd)
    yield "ffn_gate_inp.weight", (n_embd, n_expert)
    yield "exp_probs_b.bias", (n_expert,)
    yield "ffn_up_exps.weight", (width, n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, width, n_expert)
    yield "ffn_up_shexp.weight", (n_embd, shared)
    yield "ffn_down_shexp.weight", (shared, n_embd)


def _translate(config: Config) -> dict[str, Value]:
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    share = config.get("partial_rotary_factor", config.get("rope_percent", 0.5))
    return {
        "rope.dimension_count": int(share * head),
        "attention.layer_norm_epsilon": config.get("norm_eps", 1e-5),
    }


def _kept_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Attention, an output projection alone, or nothing, by the heads that the layer has."""
    n_head, n_head_kv = parts.heads(model, il)
    if n_head:
        yield "attn_norm.weight", (model.n_embd,)
    if n_head_kv:
        yield from parts.query_key_value(model, il)
    elif n_head:
        yield "attn_output.weight", (model.n_embd, model.n_embd)


def _kept_feed_forward(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated feed-forward and its norm, or nothing where it has no width."""
    if model.per_layer("feed_forward_length")[il]:
        yield "ffn_norm.weight", (model.n_embd,)
        yield from parts.gated(model, il)


_PRUNED: Final = Family(
    name="deci",
    tensors=Tensors(every=(), attention=(_kept_attention,), dense=(_kept_feed_forward,)),
    rope=Rope(is_whole=True),
    graph=GraphRules(layer="partial"),
)
_DENSE: Final = Family(
    name="nemotron",
    tensors=Tensors(
        every=(parts.layer_norm("attn_norm", "ffn_norm"),),
        dense=(parts.ungated,),
        outside=(parts.output_norm_bias,),
    ),
    rope=Rope(factors="none"),
    graph=GraphRules(norm="layer", activation="relu_sqr"),
    hugging_face=HuggingFace(model_types=("nemotron",), translate=_translate),
)
_HYBRID: Final = tuple(
    Family(
        name=name,
        tensors=Tensors(
            every=(parts.norm("attn_norm"),),
            recurrent=(parts.mamba2,),
            dense=(parts.ungated,),
            experts=(_ungated_experts,),
            next_token=(parts.next_token_projection, parts.norm("post_attention_norm")),
        ),
        recurrence=Recurrence(layers="no_kv_heads_no_ff", part="mamba2", rolls_back=True),
        rope=Rope(layers="none"),
        graph=GraphRules(
            layer="single",
            activation="relu_sqr",
            expert_gating="sigmoid",
            expert_weights_norm=None,
            outputs_at="after_norm",
            head_outputs_at="last_layer" if name == "nemotron_h_moe" else "none",
            head_layer="cropped_between",
            head_last_norm="layer",
        ),
    )
    for name in ("nemotron_h", "nemotron_h_moe")
)

FAMILIES: Final = (_DENSE, _PRUNED, *_HYBRID)
