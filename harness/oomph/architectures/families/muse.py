"""Meta's Muse Glimmer: a gate on attention's output, norms around each part, no RoPE in full."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows

FAMILIES: Final = (
    Family(
        name="muse-glimmer",
        tensors=Tensors(
            every=parts.SANDWICH_NORMS, attention=(*parts.NORMED_ATTENTION, parts.output_gate)
        ),
        windows=Windows(period=4),
        rope=Rope(layers="windowed", factors="none"),
        graph=GraphRules(norms_embedding=True, norms_before_picking=True, pinned_post_norms="none"),
    ),
)
