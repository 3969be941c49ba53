"""Architectures of which one thing is declared: they have no RoPE and no table of positions."""

from typing import Final

from oomph.architectures.family import Family, HuggingFace, Rope

FAMILIES: Final = tuple(
    Family(
        name=name,
        rope=Rope(layers="none"),
        has_known_graph=False,
        hugging_face=HuggingFace(model_types=(config_name,)),
    )
    for name, config_name in (
        ("arwkv7", "rwkv_hybrid"),
        ("bloom", "bloom"),
        ("mpt", "mpt"),
        ("refact", "gpt_refact"),
        ("rwkv6", "rwkv6"),
        ("rwkv6qwen2", "rwkv6qwen2"),
    )
)
