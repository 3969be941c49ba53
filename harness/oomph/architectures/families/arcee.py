"""Arcee AI's AFM, a Llama with squared ReLU and no gate, and Trinity (AFMoE)."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows

FAMILIES: Final = (
    Family(
        name="arcee",
        tensors=Tensors(dense=(parts.ungated,)),
        graph=GraphRules(activation="relu_sqr"),
    ),
    Family(
        name="afmoe",
        tensors=Tensors(
            every=parts.SANDWICH_NORMS,
            attention=(*parts.NORMED_ATTENTION, parts.output_gate),
            experts=parts.BALANCED_EXPERTS,
        ),
        windows=Windows(period=4),
        rope=Rope(layers="stepped", factors="none"),
        graph=GraphRules(
            scales_embedding=True,
            norms_before_picking=True,
            pinned_post_norms="both",
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
        ),
    ),
)
