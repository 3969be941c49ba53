"""Meta's Muse Glimmer: a gate on attention's output, norms around each part, no RoPE in full."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Rope,
    Tensors,
    Windows,
)
from oomph.architectures.hf_keys import Config, listed_windows, rotary_width
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    scale = {"logit_scale": config["output_multiplier"]}
    return rotary_width(config) | listed_windows(config) | scale


FAMILIES: Final = (
    Family(
        name="muse-glimmer",
        tensors=Tensors(
            every=parts.SANDWICH_NORMS, attention=(*parts.NORMED_ATTENTION, parts.output_gate)
        ),
        windows=Windows(period=4),
        rope=Rope(layers="windowed", factors="none"),
        graph=GraphRules(norms_embedding=True, norms_before_picking=True, pinned_post_norms="none"),
        hugging_face=HuggingFace(
            model_types=("muse_glimmer_text", "muse_glimmer"), translate=_translate
        ),
    ),
)
