"""Swiss AI's Apertus: no gate, and an activation with parameters of its own (xIELU)."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import rotary_width

FAMILIES: Final = (
    Family(
        name="apertus",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, dense=(parts.ungated,)),
        rope=Rope(is_whole=True),
        graph=GraphRules(activation="xielu"),
        hugging_face=HuggingFace(model_types=("apertus",), translate=rotary_width),
    ),
)
