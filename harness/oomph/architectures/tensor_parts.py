"""The parts of a transformer block as tensors: names and shapes, one function a part.

A family of models (`oomph.architectures.shapes`) is a handful of these put together, so a new
architecture is usually a new row there and at most one new part here. A part takes the model's
metadata (a `ModelSpec` whose tensors are not known yet) and the number of the block, and yields
`(name, ne)` pairs: the name after `blk.N.`, the dimensions with the contiguous one first, as GGUF
has them.

Names and dimensions are llama.cpp's (`src/llama-arch.cpp` and the `load_arch_tensors` of
`src/models/*.cpp`).
"""

from collections.abc import Callable, Iterator
from typing import Final

from oomph.architectures.spec import ModelSpec

Tensor = tuple[str, tuple[int, ...]]
Part = Callable[[ModelSpec, int], Iterator[Tensor]]

SIGMOID: Final = 2
"""expert_gating_func of a router that scores each expert by itself (llama_expert_gating_func_type).
"""


def head_size(model: ModelSpec) -> tuple[int, int]:
    """Width of a key head and of a value head (attention.key_length and value_length, or n_embd /
    n_head)."""
    default = model.n_embd // max(1, model.integer("attention.head_count"))
    return model.integer("attention.key_length", default), model.integer(
        "attention.value_length", default
    )


def heads(model: ModelSpec, il: int) -> tuple[int, int]:
    """Query heads and KV heads of block `il`."""
    n_head = model.per_layer("attention.head_count")[il]
    return n_head, model.per_layer("attention.head_count_kv", n_head)[il]


def norm(*names: str) -> Part:
    """RMS norms over the residual stream: one weight vector each."""

    def part(model: ModelSpec, il: int) -> Iterator[Tensor]:
        for name in names:
            yield f"{name}.weight", (model.n_embd,)

    return part


# ---- attention


def query_key_value(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Split projections and the output projection, without biases."""
    (n_head, n_head_kv), (head_k, head_v) = heads(model, il), head_size(model)
    yield "attn_q.weight", (model.n_embd, n_head * head_k)
    yield "attn_k.weight", (model.n_embd, n_head_kv * head_k)
    yield "attn_v.weight", (model.n_embd, n_head_kv * head_v)
    yield "attn_output.weight", (n_head * head_v, model.n_embd)


def gated_query_key_value(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """As `query_key_value`, with an output gate of the query's width inside attn_q (Qwen3-Next)."""
    for name, (n_in, n_out) in query_key_value(model, il):
        yield name, (n_in, 2 * n_out if name == "attn_q.weight" else n_out)


def fused_query_key_value(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """One projection for query, key and value, and the output projection (Phi-3)."""
    (n_head, n_head_kv), (head_k, head_v) = heads(model, il), head_size(model)
    yield "attn_qkv.weight", (model.n_embd, n_head * head_k + n_head_kv * (head_k + head_v))
    yield "attn_output.weight", (n_head * head_v, model.n_embd)


def query_key_value_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Biases of the split query, key and value projections."""
    (n_head, n_head_kv), (head_k, head_v) = heads(model, il), head_size(model)
    yield "attn_q.bias", (n_head * head_k,)
    yield "attn_k.bias", (n_head_kv * head_k,)
    yield "attn_v.bias", (n_head_kv * head_v,)


def output_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Bias of the attention's output projection."""
    yield "attn_output.bias", (model.n_embd,)


def head_norm(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms of query and key within a head (Qwen3, Gemma 3)."""
    head_k, _ = head_size(model)
    yield "attn_q_norm.weight", (head_k,)
    yield "attn_k_norm.weight", (head_k,)


def full_width_norm(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms of query and key over all heads together (OLMoE)."""
    (n_head, n_head_kv), (head_k, _) = heads(model, il), head_size(model)
    yield "attn_q_norm.weight", (n_head * head_k,)
    yield "attn_k_norm.weight", (n_head_kv * head_k,)


def attention_sinks(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A learned logit a head that absorbs attention (gpt-oss)."""
    yield "attn_sinks.weight", (heads(model, il)[0],)


def latent_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Multi-head latent attention (DeepSeek V2 and V3): low-rank query and a compressed KV
    stream."""
    n_head, n_embd = heads(model, il)[0], model.n_embd
    rank, rope = model.integer("attention.kv_lora_rank"), model.integer("rope.dimension_count")
    head_k, head_v = (
        model.integer("attention.key_length_mla"),
        model.integer("attention.value_length_mla"),
    )
    if rank_q := model.integer("attention.q_lora_rank", 0):
        yield "attn_q_a.weight", (n_embd, rank_q)
        yield "attn_q_a_norm.weight", (rank_q,)
        yield "attn_q_b.weight", (rank_q, n_head * head_k)
    else:
        yield "attn_q.weight", (n_embd, n_head * head_k)
    yield "attn_kv_a_mqa.weight", (n_embd, rank + rope)
    yield "attn_kv_a_norm.weight", (rank,)
    yield "attn_k_b.weight", (head_k - rope, rank, n_head)
    yield "attn_v_b.weight", (rank, head_v, n_head)
    yield "attn_output.weight", (n_head * head_v, n_embd)


# ---- recurrent blocks


def mamba2(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A Mamba-2 block (Granite 4.0 H)."""
    inner, rank = model.integer("ssm.inner_size"), model.integer("ssm.time_step_rank")
    groups, state = model.integer("ssm.group_count"), model.integer("ssm.state_size")
    conv = inner + 2 * groups * state
    yield "ssm_in.weight", (model.n_embd, inner + conv + rank)
    yield "ssm_conv1d.weight", (model.integer("ssm.conv_kernel"), conv)
    yield "ssm_conv1d.bias", (conv,)
    yield "ssm_dt.bias", (rank,)
    yield "ssm_a", (1, rank)
    yield "ssm_d", (1, rank)
    yield "ssm_norm.weight", (inner // groups, groups)
    yield "ssm_out.weight", (inner, model.n_embd)


def gated_delta_net(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Linear attention by the gated delta rule, without its two small input projections
    (Qwen3-Next, Qwen3.5)."""
    inner, rank = model.integer("ssm.inner_size"), model.integer("ssm.time_step_rank")
    state = model.integer("ssm.state_size")
    conv = inner + 2 * model.integer("ssm.group_count") * state
    yield "attn_qkv.weight", (model.n_embd, conv)
    yield "attn_gate.weight", (model.n_embd, inner)
    yield "ssm_conv1d.weight", (model.integer("ssm.conv_kernel"), conv)
    yield "ssm_dt.bias", (rank,)
    yield "ssm_a", (rank,)
    yield "ssm_norm.weight", (state,)
    yield "ssm_out.weight", (inner, model.n_embd)


def fused_beta_alpha(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The delta rule's beta and alpha from one projection (Qwen3-Next)."""
    yield "ssm_ba.weight", (model.n_embd, 2 * model.integer("ssm.time_step_rank"))


def split_beta_alpha(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The delta rule's beta and alpha from a projection each (Qwen3.5)."""
    yield "ssm_beta.weight", (model.n_embd, model.integer("ssm.time_step_rank"))
    yield "ssm_alpha.weight", (model.n_embd, model.integer("ssm.time_step_rank"))


# ---- feed-forward


def gated(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Gate, up and down projections of a dense block."""
    n_ff = model.per_layer("feed_forward_length")[il]
    yield "ffn_gate.weight", (model.n_embd, n_ff)
    yield "ffn_up.weight", (model.n_embd, n_ff)
    yield "ffn_down.weight", (n_ff, model.n_embd)


def fused_gated(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Gate and up in one projection, and the down projection (Phi-3)."""
    n_ff = model.per_layer("feed_forward_length")[il]
    yield "ffn_up.weight", (model.n_embd, 2 * n_ff)
    yield "ffn_down.weight", (n_ff, model.n_embd)


def expert_width(model: ModelSpec) -> int:
    """Width of a routed expert; families without a key of their own use the dense one."""
    return model.integer("expert_feed_forward_length", model.integer("feed_forward_length", 0))


def experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The router and the routed experts' three projections, an expert a slice of the last
    dimension."""
    n_ff, n_expert = expert_width(model), model.n_expert
    yield "ffn_gate_inp.weight", (model.n_embd, n_expert)
    yield "ffn_gate_exps.weight", (model.n_embd, n_ff, n_expert)
    yield "ffn_up_exps.weight", (model.n_embd, n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, model.n_embd, n_expert)


def experts_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Biases of the router and of every expert's projections (gpt-oss)."""
    n_ff, n_expert = expert_width(model), model.n_expert
    yield "ffn_gate_inp.bias", (n_expert,)
    yield "ffn_gate_exps.bias", (n_ff, n_expert)
    yield "ffn_up_exps.bias", (n_ff, n_expert)
    yield "ffn_down_exps.bias", (model.n_embd, n_expert)


def selection_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The bias that balances the choice of experts, where the router is no softmax (DeepSeek V3,
    GLM 4.5)."""
    if model.integer("expert_gating_func", SIGMOID) == SIGMOID:
        yield "exp_probs_b.bias", (model.n_expert,)


def shared_expert(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The expert that sees every token; several shared ones are stored as one wide one."""
    n_ff = model.integer(
        "expert_shared_feed_forward_length",
        expert_width(model) * model.integer("expert_shared_count", 0),
    )
    if n_ff:
        yield "ffn_gate_shexp.weight", (model.n_embd, n_ff)
        yield "ffn_up_shexp.weight", (model.n_embd, n_ff)
        yield "ffn_down_shexp.weight", (n_ff, model.n_embd)


def shared_expert_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The scalar gate on the shared expert (Qwen2-MoE, Qwen3-Next)."""
    yield "ffn_gate_inp_shexp.weight", (model.n_embd,)


# ---- multi-token prediction


def next_token_head(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What a block that predicts further tokens adds (GLM 4.5); llama.cpp keeps it in the file and
    skips it."""
    n_embd, n_vocab = model.n_embd, model.integer("vocab_size")
    yield "nextn.eh_proj.weight", (2 * n_embd, n_embd)
    yield "nextn.embed_tokens.weight", (n_embd, n_vocab)
    yield "nextn.enorm.weight", (n_embd,)
    yield "nextn.hnorm.weight", (n_embd,)
    yield "nextn.shared_head_head.weight", (n_embd, n_vocab)
    yield "nextn.shared_head_norm.weight", (n_embd,)
