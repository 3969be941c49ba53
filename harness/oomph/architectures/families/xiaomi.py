"""Xiaomi's MiMo-V2: windows with attention sinks, a V narrower than K, experts without shared."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _windowed_sinks(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Sinks in the layers with a window alone."""
    if model.per_layer("attention.sliding_window_pattern")[il]:
        yield from parts.attention_sinks(model, il)


FAMILIES: Final = (
    Family(
        name="mimo2",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, _windowed_sinks),
            experts=(parts.experts, parts.selection_bias),
            feeds_heads_densely=True,
        ),
        windows=Windows(period=6),
        rope=Rope(factors="none"),
        graph=GraphRules(expert_gating="sigmoid"),
    ),
)
