"""TII's Falcon, and Falcon-H1 with attention and Mamba-2 side by side."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Recurrence, Rope, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _unnormed_mamba2(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A Mamba-2 mixer without its norm, and a feed-forward norm that is named bare."""
    yield from (tensor for tensor in parts.mamba2(model, il) if tensor[0] != "ssm_norm.weight")
    yield "ffn_norm", (model.n_embd,)


FAMILIES: Final = (
    Family(
        name="falcon",  # a model of it needs a file
        rope=Rope(is_whole=True),
        graph=GraphRules(layer="parallel", norm="layer", parallel_sum="attention_then_residual"),
    ),
    Family(
        name="falcon-h1",
        tensors=Tensors(every=(parts.norm("attn_norm"),), recurrent=(_unnormed_mamba2,)),
        recurrence=Recurrence(layers="beside", part="mamba2"),
        rope=Rope(factors="none"),
        graph=GraphRules(layer="twin"),
    ),
)
