"""Stability AI's StableLM; a model of it needs a file."""

from typing import Final

from oomph.architectures.family import Family, GraphRules, HuggingFace

FAMILIES: Final = (
    Family(
        name="stablelm",
        graph=GraphRules(norm="layer"),
        hugging_face=HuggingFace(model_types=("stablelm", "stablelm_epoch")),
    ),
)
