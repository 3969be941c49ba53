"""MiniMax-M2: norms of whole rows of q and k, a router of sigmoids with a bias."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Tensors

FAMILIES: Final = (
    Family(
        name="minimax-m2",
        tensors=Tensors(
            attention=(parts.query_key_value, parts.full_width_norm),
            experts=(parts.experts, parts.selection_bias),
        ),
        graph=GraphRules(qk_norm="rows", expert_gating="metadata"),
    ),
)
