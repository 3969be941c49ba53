"""Stability AI's StableLM; a model of it needs a file."""

from typing import Final

from oomph.architectures.family import Family, GraphRules

FAMILIES: Final = (Family(name="stablelm", graph=GraphRules(norm="layer")),)
