"""Tencent's Hunyuan, dense, with images and A13B: q and k are normed after RoPE."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rope_table, rotary_width
from oomph.gguf.header import Value

_FAR: Final = 262144
"""Tokens that the converter says of a model whose RoPE is scaled by an alpha."""


def _translate(config: Config) -> dict[str, Value]:
    rope = rope_table(config)
    is_scaled = rope.get("rope_type", rope.get("type")) == "dynamic"
    return rotary_width(config) | ({"context_length": _FAR} if is_scaled else {})


_DENSE: Final = Tensors(attention=parts.NORMED_ATTENTION)
_ROTATED_FIRST: Final = GraphRules(qk_norm="rotated")

FAMILIES: Final = (
    Family(
        name="hunyuan-dense",
        tensors=_DENSE,
        rope=Rope(is_whole=True),
        graph=_ROTATED_FIRST,
        hugging_face=HuggingFace(model_types=("hunyuan_v1_dense",), translate=_translate),
    ),
    Family(
        name="hunyuan_vl",
        tensors=_DENSE,
        rope=Rope(sections="listed", is_whole=True),
        graph=_ROTATED_FIRST,
    ),
    Family(
        name="hunyuan-moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.SHARED_EXPERTS),
        graph=_ROTATED_FIRST,
    ),
)
