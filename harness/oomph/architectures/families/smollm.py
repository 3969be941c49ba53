"""Hugging Face's SmolLM3: a Llama without positions in every fourth layer."""

from typing import Final

from oomph.architectures.family import Family, Rope, Tensors

FAMILIES: Final = (Family(name="smollm3", tensors=Tensors(), rope=Rope(layers="stepped")),)
