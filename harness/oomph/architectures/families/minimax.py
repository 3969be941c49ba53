"""MiniMax: Text-01 with lightning attention, M2, and M3, whose attention chooses blocks."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Recurrence, Rope, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _lightning(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Lightning attention: q, k and v of as many heads each, a norm and a gate on the result."""
    inner = parts.heads(model, il)[0] * parts.head_size(model)[0]
    yield "attn_norm_2.weight", (inner,)
    yield "attn_qkv.weight", (model.n_embd, 3 * inner)
    yield "attn_gate.weight", (model.n_embd, inner)
    yield "attn_output.weight", (inner, model.n_embd)


FAMILIES: Final = (
    Family(
        name="minimax-01",
        tensors=Tensors(recurrent=(_lightning,), experts=(parts.dense_experts,)),
        recurrence=Recurrence(layers="interval", interval=8, part="lightning", reserves_one=True),
        rope=Rope(factors="none"),
        graph=GraphRules(layer="normed_residual", nodes_per_token=40),
        required=("residual_scale",),
    ),
    Family(
        name="minimax-m2",
        tensors=Tensors(
            attention=(parts.query_key_value, parts.full_width_norm),
            experts=(parts.experts, parts.selection_bias),
        ),
        graph=GraphRules(qk_norm="rows", expert_gating="metadata"),
    ),
    Family(
        name="minimax-m3",
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION,
            indexer=(parts.block_indexer,),
            experts=parts.BALANCED_EXPERTS,
        ),
        rope=Rope(factors="none"),
        graph=GraphRules(
            attention="position_blocks",
            indexers="past_dense",
            expert_gating="metadata",
            expert_weights_norm=None,
            nodes_per_token=40,
        ),
        required=(
            "expert_shared_count",
            "expert_gating_func",
            *(f"attention.indexer.{key}" for key in ("head_count", "key_length", "top_k")),
            *(f"attention.indexer.{key}" for key in ("block_size", "local_blocks")),
        ),
    ),
)
