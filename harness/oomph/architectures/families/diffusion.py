"""Diffusion language models, which see a whole input at once and keep no cache: LLaDA, Dream."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors

_ROPE: Final = Rope(factors="none", is_whole=True)

FAMILIES: Final = (
    Family(name="llada", tensors=Tensors(), rope=_ROPE, has_cache=False),
    Family(
        name="llada-moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        rope=_ROPE,
        graph=GraphRules(expert_weights_norm=False),
        has_cache=False,
    ),
    Family(
        name="dream",
        tensors=Tensors(attention=parts.BIASED_ATTENTION),
        rope=_ROPE,
        has_cache=False,
    ),
    Family(
        name="rnd1",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        rope=_ROPE,
        has_cache=False,
    ),
)
