"""MiniMax: M2 with norms of whole rows of q and k, and M3, whose attention chooses blocks."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors

FAMILIES: Final = (
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
