"""rednote's dots.llm1."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    return {"expert_weights_norm": bool(config["norm_topk_prob"])}


FAMILIES: Final = (
    Family(
        name="dots1",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.BALANCED_EXPERTS),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
        hugging_face=HuggingFace(model_types=("dots1",), translate=_translate),
    ),
)
