"""inclusionAI's GroveMoE: groups of experts share an adjugate expert each."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _adjugate_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """One for each group of experts, as wide as a head where the metadata do not say."""
    n_groups = model.n_expert // max(model.integer("experts_per_group"), 1)
    head = parts.head_size(model)[0]
    n_ff = model.integer("expert_chunk_feed_forward_length", 0) or head
    yield "ffn_gate_chexps.weight", (model.n_embd, n_ff, n_groups)
    yield "ffn_up_chexps.weight", (model.n_embd, n_ff, n_groups)
    yield "ffn_down_chexps.weight", (n_ff, model.n_embd, n_groups)


FAMILIES: Final = (
    Family(
        name="grovemoe",
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION, experts=(parts.experts, _adjugate_experts)
        ),
        rope=Rope(factors="none", is_whole=True),
        graph=GraphRules(chooses_by_sigmoid=True),
    ),
)
