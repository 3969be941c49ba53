"""Google's Gemma 4: heads of two widths, shared caches, experts beside a dense part."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Narrower heads in layers with a window, no K and V where another layer's cache is read.

    Models whose layers have different KV heads use K as V in the layers without a window.
    """
    windows = model.per_layer("attention.sliding_window_pattern")
    counts = model.per_layer("attention.head_count_kv")
    (n_head, n_head_kv), n_embd = parts.heads(model, il), model.n_embd
    head = model.integer("attention.key_length_swa" if windows[il] else "attention.key_length")
    yield "attn_q.weight", (n_embd, n_head * head)
    yield "attn_q_norm.weight", (head,)
    yield "attn_output.weight", (n_head * head, n_embd)
    yield "layer_output_scale.weight", (1,)
    if il < model.n_layer - model.integer("attention.shared_kv_layers", 0):
        yield "attn_k.weight", (n_embd, n_head_kv * head)
        yield "attn_k_norm.weight", (head,)
        if windows[il] or len(set(counts)) == 1:
            yield "attn_v.weight", (n_embd, n_head_kv * head)


def _experts_beside_dense(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Experts, gate and up in one, beside the dense feed-forward, each with norms of its own."""
    n_embd, n_expert, n_ff = model.n_embd, model.n_expert, parts.expert_width(model)
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        yield f"{name}.weight", (n_embd,)
    yield "ffn_gate_inp.weight", (n_embd, n_expert)
    yield "ffn_gate_inp.scale", (n_embd,)
    yield "ffn_gate_up_exps.weight", (n_embd, 2 * n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, n_embd, n_expert)
    yield "ffn_down_exps.scale", (n_expert,)


FAMILIES: Final = (
    Family(
        name="gemma4",
        tensors=Tensors(
            every=(*parts.SANDWICH_NORMS, parts.per_layer_gate()),
            attention=(_attention,),
            experts=(parts.gated, _experts_beside_dense),
            outside=(parts.per_layer_table(),),
        ),
        windows=Windows(period=6),
        rope=Rope(factors="full"),
        graph=GraphRules(
            norms_v=True,
            scales_embedding=True,
            scales_tokens_alone=True,
            softcaps_logits=True,
            outputs_at="after_norm",
        ),
    ),
)
