"""The graphs of heads that draft by another model's features, as llama.cpp reserves them.

Such a head has no embedding or output of its own where it shares the target's: those are tensors
that it is lent. Its logits are of all tokens of a batch, for it picks no rows
(src/models/eagle3.cpp).
"""

from collections.abc import Callable
from typing import Final

from oomph.errors import ModelFileError
from oomph.estimate.graph import attention, feed_forward
from oomph.estimate.graph.builder import Builder
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
    logits = _of_target(b, graph.mul_mat(b.weight("output"), b.norm(cur, "output_norm")))
    logits.is_output = True
    graph.expand(logits)
    sample(b, logits)
    return graph, {0: cur}


_BEFORE_RESIDUAL: Final = "eagle3.norm_before_residual"

DRAFTERS: Final[dict[str, Callable[[Builder], Built]]] = {"eagle3": eagle3}
"""By `GraphRules.drafter`."""


def _check_target(b: Builder) -> None:
    """ModelFileError where neither the file nor a target has what every drafter reads."""
    if not (b.has("token_embd.weight") and b.has("output.weight")):
        raise ModelFileError(
            f"{b.model.source} drafts for another model, whose tensors it shares: name it with "
            "--spec-draft-model beside that"
        )


def _of_target(b: Builder, logits: Tensor) -> Tensor:
    """Logits of the target's vocabulary, where these are of fewer tokens: the rest are minus
    infinity."""
    ids = b.weight_if("d2t")
    if ids is None:
        return logits
    graph, (n_draft, n_outputs), n_vocab = b.graph, logits.ne[:2], b.hparams.n_vocab
    empty = graph.leaf(F32, 1, n_vocab, n_outputs, name="logits")
    whole = graph.set_rows(
        graph.like("FILL", empty),
        graph.reshape(logits, 1, n_draft, n_outputs),
        graph.reshape(ids, n_draft, 1, 1),
    )
    return graph.reshape(whole, n_vocab, n_outputs)
