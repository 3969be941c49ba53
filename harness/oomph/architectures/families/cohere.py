"""Cohere's Command models: attention and feed-forward side by side on one norm."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows

_TENSORS: Final = Tensors(every=(parts.norm("attn_norm"),))
_GRAPH: Final = GraphRules(layer="parallel", norm="layer")

FAMILIES: Final = (
    Family(name="command-r", tensors=_TENSORS, graph=_GRAPH),
    Family(
        name="cohere2",
        tensors=_TENSORS,
        graph=_GRAPH,
        windows=Windows(period=4),
        rope=Rope(layers="windowed"),
    ),
)
