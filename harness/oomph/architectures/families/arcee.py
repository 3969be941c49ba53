"""Arcee AI's AFM, a Llama with squared ReLU and no gate, and Trinity (AFMoE)."""

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
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {
        "expert_shared_count": config.get("num_shared_experts", 0),
        "expert_weights_norm": bool(config.get("route_norm")),
        "expert_weights_scale": config.get("route_scale", 1.0),
        "leading_dense_block_count": config.get("num_dense_layers", 0),
    }


FAMILIES: Final = (
    Family(
        name="arcee",
        tensors=Tensors(dense=(parts.ungated,)),
        graph=GraphRules(activation="relu_sqr"),
        hugging_face=HuggingFace(model_types=("arcee",), translate=rotary_width),
    ),
    Family(
        name="afmoe",
        tensors=Tensors(
            every=parts.SANDWICH_NORMS,
            attention=(*parts.NORMED_ATTENTION, parts.output_gate),
            experts=parts.BALANCED_EXPERTS,
        ),
        windows=Windows(period=4),
        rope=Rope(layers="stepped", factors="none"),
        graph=GraphRules(
            scales_embedding=True,
            norms_before_picking=True,
            pinned_post_norms="both",
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
        ),
        hugging_face=HuggingFace(model_types=("afmoe",), translate=_translate),
    ),
)
