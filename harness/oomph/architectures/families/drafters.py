"""Heads that draft for another model by its features: EAGLE-3."""

from typing import Final

from oomph.architectures.family import Family, GraphRules

FAMILIES: Final = (Family(name="eagle3", head="lent", graph=GraphRules(drafter="eagle3")),)
