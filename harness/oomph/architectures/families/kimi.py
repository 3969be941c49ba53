"""Moonshot AI's Kimi Linear: Kimi delta attention between layers of latent attention."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.deepseek import latent_attention
from oomph.architectures.family import Family, GraphRules, Recurrence, Rope, Tensors

FAMILIES: Final = (
    Family(
        name="kimi-linear",
        tensors=Tensors(
            attention=(latent_attention,),
            recurrent=(parts.kda, parts.kda_gates, parts.kda_rates),
            experts=parts.BALANCED_EXPERTS,
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="kda", reserves_one=True),
        rope=Rope(layers="none"),
        graph=GraphRules(expands_norm=True, expert_gating="metadata"),
    ),
)
