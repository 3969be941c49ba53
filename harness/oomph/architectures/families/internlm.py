"""Shanghai AI Laboratory's InternLM 2 and 2.5."""

from typing import Final

from oomph.architectures.family import Family, Tensors

FAMILIES: Final = (Family(name="internlm2", tensors=Tensors()),)
