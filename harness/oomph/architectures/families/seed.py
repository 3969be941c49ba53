"""ByteDance's Seed-OSS."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, HuggingFace, Tensors

FAMILIES: Final = (
    Family(
        name="seed_oss",
        tensors=Tensors(every=parts.POST_ATTENTION_NORM, attention=parts.BIASED_ATTENTION),
        hugging_face=HuggingFace(model_types=("seed_oss",)),
    ),
)
