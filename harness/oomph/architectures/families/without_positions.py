"""Architectures of which one thing is declared: they have no RoPE and no table of positions."""

from typing import Final

from oomph.architectures.family import Family, Rope

FAMILIES: Final = tuple(
    Family(name=name, rope=Rope(layers="none"), has_known_graph=False)
    for name in (
        "arwkv7",
        "bloom",
        "mpt",
        "refact",
        "rwkv6",
        "rwkv6qwen2",
    )
)
