"""poolside's Laguna: a gate on attention's output, by head or by element."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _output_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """As wide as the file has it; published are one a head beside windows, else one an element."""
    n_head, name = parts.heads(model, il)[0], "attn_gate.weight"
    by_element = n_head * parts.head_size(model)[0]
    stored = model.tensors.get(f"blk.{il}.{name}")
    if stored is None:
        is_wide = not model.integer("attention.sliding_window", 0)
    else:
        is_wide = stored.ne[1] == by_element
    yield name, (model.n_embd, by_element if is_wide else n_head)


FAMILIES: Final = (
    Family(
        name="laguna",
        tensors=Tensors(
            attention=(*parts.NORMED_ATTENTION, _output_gate), experts=parts.BALANCED_EXPERTS
        ),
        windows=Windows(period=4, dense_first=True),
        rope=Rope(factors="none"),
        graph=GraphRules(
            gate_activation="softplus",
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
        ),
    ),
)
