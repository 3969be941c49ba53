"""Liquid AI's LFM2: short convolutions between layers of attention."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Recurrence, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _short_convolution(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated short convolution."""
    n_embd = model.n_embd
    yield "shortconv.conv.weight", (model.integer("shortconv.l_cache"), n_embd)
    yield "shortconv.in_proj.weight", (n_embd, 3 * n_embd)
    yield "shortconv.out_proj.weight", (n_embd, n_embd)


FAMILIES: Final = tuple(
    Family(
        name=name,
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION,
            recurrent=(_short_convolution,),
            experts=(parts.experts, parts.selection_bias),
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="short_conv", rolls_back=True),
        graph=GraphRules(expert_gating="metadata", mixing_first=False, feed_forward_first=False),
        output_norm="token_embd_norm",
        head="of_text",
    )
    for name in ("lfm2", "lfm2moe")
)
