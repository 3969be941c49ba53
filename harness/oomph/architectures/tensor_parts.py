"""The parts of a transformer block as tensors: names and shapes, one function a part.

A family of models (`oomph.architectures.families`) is a handful of these put together, and has the
parts that no other has in its own file. A part takes the model's metadata (a `ModelSpec` whose
tensors are not known yet) and the number of the block, and yields `(name, ne)` pairs: the name
after `blk.N.`, the dimensions with the contiguous one first, as GGUF has them. A part outside the
blocks takes no number.

Names and dimensions are llama.cpp's (`src/llama-arch.cpp` and the `load_arch_tensors` of
`src/models/*.cpp`).
"""

from collections.abc import Callable, Iterator
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.gguf.header import SkippedArray

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
    return model.per_layer("attention.head_count")[il], model.kv_heads[il]


def norm(*names: str) -> Part:
    """RMS norms over the residual stream: one weight vector each."""

    def part(model: ModelSpec, il: int) -> Iterator[Tensor]:
        for name in names:
            yield f"{name}.weight", (model.n_embd,)

    return part


def layer_norm(*names: str) -> Part:
    """Layer norms: a weight and a bias each."""

    def part(model: ModelSpec, il: int) -> Iterator[Tensor]:
        for name in names:
            yield f"{name}.weight", (model.n_embd,)
            yield f"{name}.bias", (model.n_embd,)

    return part


# ---- attention


def query_key_value(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Split projections and the output projection, without biases."""
    (n_head, n_head_kv), (head_k, head_v) = heads(model, il), head_size(model)
    yield "attn_q.weight", (model.n_embd, n_head * head_k)
    yield "attn_k.weight", (model.n_embd, n_head_kv * head_k)
    yield "attn_v.weight", (model.n_embd, n_head_kv * head_v)
    yield "attn_output.weight", (n_head * head_v, model.n_embd)


def fused_query_key_value(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """One projection for query, key and value, and the output projection (Phi-3)."""
    (n_head, n_head_kv), (head_k, head_v) = heads(model, il), head_size(model)
    yield "attn_qkv.weight", (model.n_embd, n_head * head_k + n_head_kv * (head_k + head_v))
    yield "attn_output.weight", (n_head * head_v, model.n_embd)


def fused_query_key_value_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Bias of the fused projection."""
    (n_head, n_head_kv), (head_k, head_v) = heads(model, il), head_size(model)
    yield "attn_qkv.bias", (n_head * head_k + n_head_kv * (head_k + head_v),)


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


def output_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate on each element of attention's output, before its projection (AFMoE)."""
    yield "attn_gate.weight", (model.n_embd, heads(model, il)[0] * head_size(model)[0])


def attention_sinks(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A learned logit a head that absorbs attention (gpt-oss)."""
    yield "attn_sinks.weight", (heads(model, il)[0],)


def block_indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The small attention that chooses blocks of cells."""
    width = model.integer("attention.indexer.key_length")
    n_head = model.integer("attention.indexer.head_count")
    yield "indexer.q_proj.weight", (model.n_embd, n_head * width)
    yield "indexer.k_proj.weight", (model.n_embd, width)
    yield "indexer.q_norm.weight", (width,)
    yield "indexer.k_norm.weight", (width,)


# ---- recurrent blocks


def mamba(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A block of the first Mamba."""
    inner, rank = model.integer("ssm.inner_size"), model.integer("ssm.time_step_rank")
    state = model.integer("ssm.state_size")
    yield "ssm_in.weight", (model.n_embd, 2 * inner)
    yield "ssm_conv1d.weight", (model.integer("ssm.conv_kernel"), inner)
    yield "ssm_conv1d.bias", (inner,)
    yield "ssm_x.weight", (inner, rank + 2 * state)
    yield "ssm_dt.weight", (rank, inner)
    yield "ssm_dt.bias", (inner,)
    yield "ssm_a", (state, inner)
    yield "ssm_d", (inner,)
    yield "ssm_out.weight", (inner, model.n_embd)


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


def kda(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Kimi delta attention, without its gates."""
    head, n_head = model.integer("kda.head_dim"), heads(model, il)[0]
    inner, kernel = head * n_head, model.integer("ssm.conv_kernel")
    for which in "qkv":
        yield f"ssm_conv1d_{which}.weight", (kernel, 1, inner)
        yield f"attn_{which}.weight", (model.n_embd, inner)
    yield "ssm_beta.weight", (model.n_embd, n_head)
    yield "ssm_dt.bias", (inner,)
    yield "ssm_norm.weight", (head,)
    yield "attn_output.weight", (inner, model.n_embd)


def kda_gates(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Its two gates, of low rank."""
    head, inner = model.integer("kda.head_dim"), model.integer("kda.head_dim") * heads(model, il)[0]
    for which in "fg":
        yield f"ssm_{which}_a.weight", (model.n_embd, head)
        yield f"ssm_{which}_b.weight", (head, inner)


def kda_rates(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """How fast each head forgets."""
    yield "ssm_a", (1, heads(model, il)[0])


# ---- feed-forward


def gated(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Gate, up and down projections of a dense block."""
    n_ff = model.per_layer("feed_forward_length")[il]
    yield "ffn_gate.weight", (model.n_embd, n_ff)
    yield "ffn_up.weight", (model.n_embd, n_ff)
    yield "ffn_down.weight", (n_ff, model.n_embd)


def ungated(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Up and down projections without a gate (StarCoder 2, Arcee, Nemotron-H)."""
    n_ff = model.per_layer("feed_forward_length")[il]
    yield "ffn_up.weight", (model.n_embd, n_ff)
    yield "ffn_down.weight", (n_ff, model.n_embd)


def ungated_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Biases of the up and down projections."""
    yield "ffn_up.bias", (model.per_layer("feed_forward_length")[il],)
    yield "ffn_down.bias", (model.n_embd,)


def gated_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Biases of the gate, up and down projections."""
    yield "ffn_gate.bias", (model.per_layer("feed_forward_length")[il],)
    yield from ungated_bias(model, il)


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


def dense_width(model: ModelSpec) -> int:
    """Width of an expert where no key tells it apart from a dense feed-forward's."""
    return model.integer("feed_forward_length")


def dense_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The router and routed experts as wide as a dense feed-forward (Phi-3.5 MoE)."""
    n_ff, n_expert = dense_width(model), model.n_expert
    yield "ffn_gate_inp.weight", (model.n_embd, n_expert)
    yield "ffn_gate_exps.weight", (model.n_embd, n_ff, n_expert)
    yield "ffn_up_exps.weight", (model.n_embd, n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, model.n_embd, n_expert)


def fused_experts(width: Callable[[ModelSpec], int] = expert_width) -> Part:
    """The router and the routed experts, gate and up in one."""

    def part(model: ModelSpec, il: int) -> Iterator[Tensor]:
        n_ff, n_expert = width(model), model.n_expert
        yield "ffn_gate_inp.weight", (model.n_embd, n_expert)
        yield "ffn_gate_up_exps.weight", (model.n_embd, 2 * n_ff, n_expert)
        yield "ffn_down_exps.weight", (n_ff, model.n_embd, n_expert)

    return part


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


# ---- outside the blocks


def position_table(model: ModelSpec) -> Iterator[Tensor]:
    """A learned embedding of each position (BERT, GPT-2)."""
    yield "position_embd.weight", (model.n_embd, model.n_ctx_train)


def output_norm_bias(model: ModelSpec) -> Iterator[Tensor]:
    """Bias of the last norm."""
    yield "output_norm.bias", (model.n_embd,)


# ---- a layer's own embedding (Gemma 3n, Gemma 4)


def per_layer_gate(default_width: int = 0) -> Part:
    """What mixes a layer's own embedding, `default_width` wide where no key tells, into its
    output."""

    def part(model: ModelSpec, il: int) -> Iterator[Tensor]:
        if width := model.integer("embedding_length_per_layer_input", default_width):
            yield "inp_gate.weight", (model.n_embd, width)
            yield "proj.weight", (width, model.n_embd)
            yield "post_norm.weight", (model.n_embd,)

    return part


def per_layer_table(default_width: int = 0) -> Callable[[ModelSpec], Iterator[Tensor]]:
    """The layers' own embeddings, outside the blocks; `default_width` as for `per_layer_gate`."""

    def part(model: ModelSpec) -> Iterator[Tensor]:
        if width := model.integer("embedding_length_per_layer_input", default_width):
            n_vocab = model.integer("vocab_size")
            yield "per_layer_token_embd.weight", (width * model.n_layer, n_vocab)
            yield "per_layer_model_proj.weight", (model.n_embd, width * model.n_layer)
            yield "per_layer_proj_norm.weight", (width,)

    return part


# ---- multi-token prediction


def next_token_projection(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What a block that predicts further tokens adds: a projection of the last hidden state and the
    next token's embedding, and norms (Qwen3-Next, Qwen3.5)."""
    n_embd = model.n_embd
    yield "nextn.eh_proj.weight", (2 * n_embd, n_embd)
    yield "nextn.enorm.weight", (n_embd,)
    yield "nextn.hnorm.weight", (n_embd,)
    yield "nextn.shared_head_norm.weight", (n_embd,)


def next_token_tables(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """An embedding and an output head of such a block's own (GLM 4.5)."""
    n_embd, n_vocab = model.n_embd, model.integer("vocab_size")
    yield "nextn.embed_tokens.weight", (n_embd, n_vocab)
    yield "nextn.shared_head_head.weight", (n_embd, n_vocab)


# ---- a reranker's head


def n_labels(model: ModelSpec) -> int:
    """The scores that a reranker gives an input (n_cls_out)."""
    labels = model.metadata.get(f"{model.arch}.classifier.output_labels")
    return labels.count if isinstance(labels, SkippedArray) else 1


def score(model: ModelSpec) -> Iterator[Tensor]:
    """From an embedding to its scores."""
    yield "cls.output.weight", (model.n_embd, n_labels(model))


def score_bias(model: ModelSpec) -> Iterator[Tensor]:
    """The scores' biases."""
    yield "cls.output.bias", (n_labels(model),)


# ---- what many families put together

POST_ATTENTION_NORM: Final = (norm("attn_norm", "post_attention_norm"),)
SANDWICH_NORMS: Final = (norm("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),)
BIASED_ATTENTION: Final = (query_key_value, query_key_value_bias)
FUSED_BIASED_ATTENTION: Final = (fused_query_key_value, fused_query_key_value_bias, output_bias)
BIASED_UNGATED: Final = (ungated, ungated_bias)
NORMED_ATTENTION: Final = (query_key_value, head_norm)
SHARED_EXPERTS: Final = (experts, shared_expert)
BALANCED_EXPERTS: Final = (experts, shared_expert, selection_bias)

FEED_FORWARD_NAMES: Final = ("ffn_gate", "ffn_up", "ffn_down", "exp_probs_b")
NEXT_TOKEN_NAMES: Final = ("nextn.embed_tokens", "nextn.shared_head_")
"""What the names of a feed-forward's tensors begin with, and of those that a block for multi-token
prediction may do without."""
