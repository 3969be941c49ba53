"""MiniMax-M2: norms of whole rows of q and k, a router of sigmoids with a bias."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    return {
        "expert_feed_forward_length": config["intermediate_size"],
        "rope.dimension_count": config["rotary_dim"],
    }


FAMILIES: Final = (
    Family(
        name="minimax-m2",
        tensors=Tensors(
            attention=(parts.query_key_value, parts.full_width_norm),
            experts=(parts.experts, parts.selection_bias),
        ),
        graph=GraphRules(qk_norm="rows", expert_gating="metadata"),
        hugging_face=HuggingFace(
            model_types=("minimax_m2", "MiniMaxM2ForCausalLM"), translate=_translate
        ),
    ),
)
