"""Hugging Face's SmolLM3: a Llama without positions in every fourth layer."""

from typing import Final

from oomph.architectures.family import Family, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import rotary_width

FAMILIES: Final = (
    Family(
        name="smollm3",
        tensors=Tensors(),
        rope=Rope(layers="stepped"),
        hugging_face=HuggingFace(
            model_types=("smollm3",),
            translate=rotary_width,
            defaults={"tie_word_embeddings": True},
        ),
    ),
)
