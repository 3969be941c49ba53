"""Tensors of a block that a single family of models has.

They stand apart so that the parts which many families share stay easy to survey. A function that
takes no block is for tensors outside the blocks. Names and dimensions are llama.cpp's
(`load_arch_tensors` of `src/models/*.cpp`).
"""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Part, Tensor

N_ALTUP: Final = 4
LAUREL_RANK: Final = 64
PER_LAYER_WIDTH: Final = 256
"""Gemma 3n's numbers that no key tells: residual streams, rank of the side path, width of a layer's
embedding."""


def biases(*names: str) -> Part:
    """Biases of norms over the residual stream."""

    def part(model: ModelSpec, il: int) -> Iterator[Tensor]:
        for name in names:
            yield f"{name}.bias", (model.n_embd,)

    return part


def plain(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Up and down projections without a gate (StarCoder 2, Arcee, Nemotron-H)."""
    n_ff = model.per_layer("feed_forward_length")[il]
    yield "ffn_up.weight", (model.n_embd, n_ff)
    yield "ffn_down.weight", (n_ff, model.n_embd)


def plain_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Biases of `plain`."""
    yield "ffn_up.bias", (model.per_layer("feed_forward_length")[il],)
    yield "ffn_down.bias", (model.n_embd,)


def shared_as_wide_as_routed(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A shared expert of a routed one's width, whatever the metadata (Llama 4)."""
    n_embd, n_ff = model.n_embd, parts.expert_width(model)
    yield "ffn_gate_shexp.weight", (n_embd, n_ff)
    yield "ffn_up_shexp.weight", (n_embd, n_ff)
    yield "ffn_down_shexp.weight", (n_ff, n_embd)


# ---- Gemma 3n and Gemma 4


def per_layer_width(model: ModelSpec) -> int:
    """Width of a layer's own embedding; 0 for a model without."""
    return model.integer(
        "embedding_length_per_layer_input", PER_LAYER_WIDTH if model.arch == "gemma3n" else 0
    )


def per_layer_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What mixes a layer's own embedding into its output."""
    if width := per_layer_width(model):
        yield "inp_gate.weight", (model.n_embd, width)
        yield "proj.weight", (width, model.n_embd)
        yield "post_norm.weight", (model.n_embd,)


def per_layer_table(model: ModelSpec) -> Iterator[Tensor]:
    """The layers' own embeddings, outside the blocks."""
    if width := per_layer_width(model):
        yield "per_layer_token_embd.weight", (width * model.n_layer, model.integer("vocab_size"))
        yield "per_layer_model_proj.weight", (model.n_embd, width * model.n_layer)
        yield "per_layer_proj_norm.weight", (width,)


def altup(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Alternating updates and the low-rank side path (Gemma 3n)."""
    n_embd = model.n_embd
    yield "altup_correct_coef.weight", (N_ALTUP, N_ALTUP)
    yield "altup_correct_scale.weight", (n_embd,)
    yield "altup_predict_coef.weight", (N_ALTUP, N_ALTUP * N_ALTUP)
    yield "altup_router.weight", (n_embd, N_ALTUP)
    yield "altup_router_norm.weight", (n_embd,)
    yield "laurel_l.weight", (n_embd, LAUREL_RANK)
    yield "laurel_r.weight", (LAUREL_RANK, n_embd)
    yield "laurel_post_norm.weight", (n_embd,)


def altup_projections(model: ModelSpec) -> Iterator[Tensor]:
    """The projections between the token embedding and the other residual streams."""
    for name in ("altup_proj", "altup_unembd_proj"):
        yield f"{name}.weight", (model.n_embd, model.n_embd, N_ALTUP - 1)


def windowed_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Gemma 4: narrower heads in layers with a window, no K and V where another layer's cache is
    read.

    Models whose layers have different KV heads use K as V in the layers without a window.
    """
    windows, counts = (
        model.per_layer("attention.sliding_window_pattern"),
        model.per_layer("attention.head_count_kv"),
    )
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


def experts_beside_dense(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Gemma 4's experts, gate and up in one, beside the dense feed-forward, each with norms of its
    own."""
    n_embd, n_expert, n_ff = model.n_embd, model.n_expert, parts.expert_width(model)
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        yield f"{name}.weight", (n_embd,)
    yield "ffn_gate_inp.weight", (n_embd, n_expert)
    yield "ffn_gate_inp.scale", (n_embd,)
    yield "ffn_gate_up_exps.weight", (n_embd, 2 * n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, n_embd, n_expert)
    yield "ffn_down_exps.scale", (n_expert,)


# ---- hybrids


def short_convolution(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated short convolution (LFM2)."""
    n_embd = model.n_embd
    yield "shortconv.conv.weight", (model.integer("shortconv.l_cache"), n_embd)
    yield "shortconv.in_proj.weight", (n_embd, 3 * n_embd)
    yield "shortconv.out_proj.weight", (n_embd, n_embd)


def unnormed_mamba2(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A Mamba-2 mixer without its norm, and a feed-forward norm that is named bare (Falcon-H1)."""
    yield from (tensor for tensor in parts.mamba2(model, il) if tensor[0] != "ssm_norm.weight")
    yield "ffn_norm", (model.n_embd,)


def ungated_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Nemotron-H's experts: no gate, and on a narrower projection of the tokens where the model has
    one."""
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


# ---- DeepSeek V3.2


def indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The small attention that chooses which cells latent attention looks at."""
    width = model.integer("attention.indexer.key_length")
    n_head = model.integer("attention.indexer.head_count")
    yield "indexer.k_norm.weight", (width,)
    yield "indexer.k_norm.bias", (width,)
    yield "indexer.proj.weight", (model.n_embd, n_head)
    yield "indexer.attn_k.weight", (model.n_embd, width)
    yield "indexer.attn_q_b.weight", (model.integer("attention.q_lora_rank"), n_head * width)
