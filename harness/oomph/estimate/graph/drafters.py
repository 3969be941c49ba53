"""The graphs of heads that draft by another model's features, as llama.cpp reserves them.

Such a head has no embedding or output of its own where it shares the target's: those are tensors
that it is lent. Its logits are of all tokens of a batch, for it picks no rows
(src/models/eagle3.cpp).
"""

from collections.abc import Callable
from typing import Final

from oomph.errors import ModelFileError
from oomph.estimate.graph import attention, feed_forward, selector
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.compose import LAYERS
from oomph.estimate.graph.drafted_logits import biased, of_target
from oomph.estimate.graph.hparams import TARGET_TOKENS
from oomph.estimate.graph.next_token import sample
from oomph.estimate.graph.tensor import F32, I32, Graph, Tensor

Built = tuple[Graph, dict[int, Tensor]]


def eagle3(b: Builder) -> Built:
    """One layer over a token's embedding and the feature before it, both normed."""
    graph, n_embd = b.graph, b.hparams.n_embd
    _check_target(b)
    tokens = graph.get_rows(b.weight("token_embd"), b.input("inp_tokens", I32, b.n_tokens))
    feature = b.input("inp_embd", F32, n_embd, b.n_tokens)
    normed = b.norm(tokens, "attn_norm", 0)
    normed_feature = b.norm(feature, "attn_norm_2", 0, pins=False)
    residual = normed_feature if b.model.metadata.get(_BEFORE_RESIDUAL) else feature
    y = attention.standard(b, graph.concat(normed, normed_feature), 0)
    middle = graph.add(y, residual)
    cur = graph.add(feed_forward.dense(b, b.norm(middle, "ffn_norm", 0), 0), middle)
    cur.is_output = True
    logits = of_target(b, graph.mul_mat(b.weight("output"), b.norm(cur, "output_norm")))
    logits.is_output = True
    graph.expand(logits)
    sample(b, logits)
    return graph, {0: cur}


def dflash(b: Builder) -> Built:
    """Layers over a block of masked tokens, and logits of each; with a Markov head (DSpark) each
    token's by the one before it besides."""
    graph, ends = b.graph, {}
    _check_target(b)
    tokens = b.input("inp_tokens", I32, b.n_tokens)
    cur = graph.get_rows(b.weight("token_embd"), tokens)
    if b.model.hparam("embedding_scale", 0.0):
        cur = graph.scale(cur)
    for il in b.hparams.running:
        cur = ends[il] = _block_layer(b, cur, il)
    hidden = b.norm(cur, "output_norm")
    hidden.is_output = True
    logits = graph.mul_mat(b.output_weight(), hidden)
    has_selector = b.has("selector_hidden.weight")
    if has_selector and b.model.hparam("logit_scale", 0.0):
        logits = graph.scale(logits)
    if has_selector and b.model.hparam("final_logit_softcapping", 0.0):
        logits = graph.scale(graph.unary("TANH", graph.scale(logits)))
    logits = graph.expand(of_target(b, logits))
    if has_selector:
        logits.is_output = True
        selector.select(b, logits, tokens, hidden)
        return graph, ends
    if b.has("markov_w1.weight"):
        logits = biased(b, logits, tokens, hidden)
    logits.is_output = True
    sample(b, logits)
    return graph, ends


def assistant(b: Builder) -> Built:
    """Layers over a token's embedding in the target's width and the last hidden state, projected
    down; they read the target's last caches, and give a hidden state of its width again."""
    graph, ends = b.graph, {}
    if not b.has(TARGET_TOKENS):
        raise ModelFileError(
            f"{b.model.source} drafts for another model, whose caches it reads: name it with "
            "--spec-draft-model beside that"
        )
    tokens = graph.get_rows(b.weight(TARGET_TOKENS), b.input("inp_tokens", I32, b.n_tokens))
    hidden = b.input("inp_h", F32, tokens.ne[0], b.n_tokens)
    both = graph.concat(graph.scale(tokens), hidden)
    cur = graph.mul_mat(b.weight("nextn.pre_projection"), both)
    for il in b.hparams.running:
        cur = ends[il] = LAYERS["sequential"](b, cur, il, il == b.hparams.running[-1])
    cur = b.norm(cur, "output_norm")
    logits = graph.mul_mat(b.output_weight(), cur)
    hidden = graph.mul_mat(b.weight("nextn.post_projection"), cur)
    for each in (logits, hidden):
        each.is_output = True
        graph.expand(each)
    sample(b, logits)
    return graph, ends


def _block_layer(b: Builder, cur: Tensor, il: int) -> Tensor:
    graph = b.graph
    y = _mixed(b, b.norm(cur, "attn_norm", il), "attn", il)
    if b.has("post_attention_norm.weight", il):
        y = b.norm(y, "post_attention_norm", il)
    middle = graph.add(y, cur)
    y = _mixed(b, b.norm(middle, "ffn_norm", il), "ffn", il)
    if b.has("post_ffw_norm.weight", il):
        y = b.norm(y, "post_ffw_norm", il)
    y = graph.add(y, middle)
    scale = b.weight_if("layer_output_scale.weight", il)
    return graph.mul(y, scale) if scale else y


def _mixed(b: Builder, x: Tensor, part: str, il: int) -> Tensor:
    """Attention or the feed-forward, convolved before and after where the file says so."""
    run = _attend if part == "attn" else feed_forward.dense
    if not b.has(f"{part}_conv_proj.weight", il):
        return run(b, x, il)
    mixed, base = b.linear(f"{part}_conv_proj", x, il), b.weight(f"{part}_conv_base", il)
    y = run(b, selector.convolved(b, x, mixed, base, 0), il)
    return selector.convolved(b, y, mixed, base, 1)


def _attend(b: Builder, x: Tensor, il: int) -> Tensor:
    y = attention.standard(b, x, il)
    return b.graph.scale(y) if b.model.hparam("attention.value_scale", 0.0) else y


_BEFORE_RESIDUAL: Final = "eagle3.norm_before_residual"

DRAFTERS: Final[dict[str, Callable[[Builder], Built]]] = {
    "eagle3": eagle3,
    "dflash": dflash,
    "assistant": assistant,
}
"""By `GraphRules.drafter`."""


def _check_target(b: Builder) -> None:
    """ModelFileError where neither the file nor a target has what every drafter reads."""
    is_lent = b.rules.drafter == "eagle3" or not b.has("token_embd.weight")
    if not b.has("token_embd.weight") or (is_lent and not b.has("output.weight")):
        raise ModelFileError(
            f"{b.model.source} drafts for another model, whose tensors it shares: name it with "
            "--spec-draft-model beside that"
        )
