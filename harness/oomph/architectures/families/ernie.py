"""Baidu's ERNIE 4.5, dense and with experts, and PaddleOCR's decoder."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    # the converter's own rule for the shared expert's width
    shared: int = config["intermediate_size"] // config["num_key_value_heads"]
    return {
        "interleave_moe_layer_step": config["moe_layer_interval"],
        "expert_shared_feed_forward_length": shared,
    }


FAMILIES: Final = (
    Family(
        name="ernie4_5",
        tensors=Tensors(),
        hugging_face=HuggingFace(model_types=("ernie4_5",), defaults={"tie_word_embeddings": True}),
    ),
    Family(
        name="paddleocr",
        tensors=Tensors(),
        rope=Rope(factors="none", sections="always", is_whole=True),
        hugging_face=HuggingFace(model_types=("paddleocr_vl", "paddleocr_vl_text")),
    ),
    Family(
        name="ernie4_5-moe",
        tensors=Tensors(experts=parts.BALANCED_EXPERTS),
        hugging_face=HuggingFace(model_types=("ernie4_5_moe",), translate=_translate),
    ),
)
