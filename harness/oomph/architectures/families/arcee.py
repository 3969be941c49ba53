"""Arcee AI's AFM: a Llama with squared ReLU and no gate."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Tensors

FAMILIES: Final = (
    Family(
        name="arcee",
        tensors=Tensors(dense=(parts.ungated,)),
        graph=GraphRules(activation="relu_sqr"),
    ),
)
