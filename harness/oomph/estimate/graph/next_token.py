"""The graph of a multi-token-prediction (MTP) head, as llama.cpp drafts with it.

One block beyond the layers that decode: a projection of the last hidden state and the next token's
embedding, a layer as the family's others, its own or the model's norm and output, and the draft's
sampling (graph_mtp of src/models/*.cpp, llm_graph_context::build_sampling).
"""

from typing import Final

from oomph.errors import ModelFileError
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.compose import LAYERS
from oomph.estimate.graph.tensor import F32, I32, Graph, Tensor

SAMPLED: Final = 10
"""Candidates that a drafting context keeps of each sequence's logits (top_k of
common_speculative_impl_draft_mtp)."""


def build_head(b: Builder) -> tuple[Graph, dict[int, Tensor]]:
    """The graph of `b`'s head; ModelFileError for a family whose head llama.cpp has no graph of."""
    graph, rules, il = b.graph, b.rules, b.hparams.n_trunk
    if rules.head_outputs_at == "none":
        raise ModelFileError(
            f"{b.model.source}: the graph of the MTP head of {b.model.arch} models is not known"
        )
    table = b.weight_if("nextn.embed_tokens.weight", il) or b.weight("token_embd")
    tokens = graph.get_rows(table, b.input("inp_tokens", I32, b.n_tokens))
    hidden = b.input("mtp_h_input", F32, b.hparams.n_embd, b.n_tokens)
    both = graph.concat(b.norm(tokens, "nextn.enorm", il), b.norm(hidden, "nextn.hnorm", il))
    picks = rules.head_outputs_at == "last_layer"
    wired = rules.layer if rules.head_layer == "same" else rules.head_layer
    cur = LAYERS[wired](b, b.linear("nextn.eh_proj", both, il), il, picks)
    end = cur
    if rules.head_outputs_at == "before_norm":
        picks = True
        cur = b.output_rows(cur)
        cur.is_output = True
    # named whole, for they are pinned to no layer
    own = (f"blk.{il}.{name}" for name in ("nextn.shared_head_norm", "layer_output_norm"))
    given = (name for name in own if b.has(f"{name}.weight"))
    kind = "NORM" if rules.head_last_norm == "layer" else None
    cur = b.norm(cur, next(given, b.family.output_norm), kind=kind)
    cur.is_output = True
    if not picks:
        cur = b.output_rows(cur)
    output = b.weight_if("nextn.shared_head_head.weight", il) or b.output_weight()
    logits = graph.mul_mat(output, cur)
    if b.model.hparam("logit_scale", 0.0):
        logits = graph.scale(logits)
    logits.is_output = True
    graph.expand(logits)
    sample(b, logits)
    return graph, {il: end}


def sample(b: Builder, logits: Tensor) -> None:
    """The best candidates of as many rows of each sequence as are to be put out."""
    graph, n_vocab = b.graph, logits.ne[0]
    n_rows = max(b.n_outputs, b.sizes.n_seqs)
    padded = graph.node("PAD", (n_vocab, logits.ne[1] + 1), logits)
    for i in range(n_rows):
        row = graph.view(padded, (n_vocab,), (), i * padded.nb[1])
        best = graph.node("TOP_K", (SAMPLED,), graph.reshape(row, n_vocab), quant=I32)
        kept = graph.get_rows(graph.reshape(row, 1, n_vocab), best)
        for found in (kept, best):
            found.is_output = True
            graph.expand(found)
