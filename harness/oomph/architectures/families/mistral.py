"""Mistral AI's later models; llama.cpp runs the older ones as Llama."""

from typing import Final

from oomph.architectures.family import Family, GraphRules, Tensors

FAMILIES: Final = (
    Family(name="mistral3", tensors=Tensors(), graph=GraphRules(temperature="metadata")),
)
