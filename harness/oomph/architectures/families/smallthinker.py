"""SJTU's SmallThinker: the router sees a layer's input, before attention."""

from typing import Final

from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows

FAMILIES: Final = (
    Family(
        name="smallthinker",
        tensors=Tensors(),
        windows=Windows(period=4, dense_first=True, n_tokens=4096, is_fixed=True, is_optional=True),
        rope=Rope(layers="stepped_first", factors="none", is_whole=True),
        graph=GraphRules(routes_input=True, expert_gating="metadata"),
    ),
)
