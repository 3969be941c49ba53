"""Shanghai AI Laboratory's InternLM 2 and 2.5."""

from typing import Final

from oomph.architectures.family import Family, HuggingFace, Tensors
from oomph.architectures.hf_keys import rotary_width

FAMILIES: Final = (
    Family(
        name="internlm2",
        tensors=Tensors(),
        hugging_face=HuggingFace(model_types=("internlm2",), translate=rotary_width),
    ),
)
