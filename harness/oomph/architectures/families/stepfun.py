"""StepFun's Step 3.5 Flash: a gate a head on attention's output, more heads beside windows."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _head_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate on each head's output."""
    yield "attn_gate.weight", (model.n_embd, parts.heads(model, il)[0])


FAMILIES: Final = (
    Family(
        name="step35",
        tensors=Tensors(
            attention=(*parts.NORMED_ATTENTION, _head_gate), experts=parts.BALANCED_EXPERTS
        ),
        windows=Windows(period=4),
        rope=Rope(factors="full"),
        graph=GraphRules(
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            outputs_at="before_norm",
            head_outputs_at="before_norm",
        ),
        loaded_of_heads=(
            "attn_q_norm",
            "attn_k_norm",
            "attn_gate",
            *parts.FEED_FORWARD_NAMES,
            *parts.NEXT_TOKEN_NAMES,
        ),
    ),
)
