"""Heads that draft for another model by its features: EAGLE-3, DFlash 1 and 2, DSpark."""

from typing import Final

from oomph.architectures.family import Family, GraphRules, Rope, Windows

FAMILIES: Final = (
    Family(name="eagle3", head="lent", graph=GraphRules(drafter="eagle3")),
    Family(
        name="dflash",
        graph=GraphRules(drafter="dflash", norms_shared_v=True),
        windows=Windows(period=1),  # the file lists them, or has none
        rope=Rope(sections="any"),
    ),
)
