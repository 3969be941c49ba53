"""Alibaba's Qwen, Qwen2, Qwen2.5 and Qwen3, with and without experts or images."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    PublishedYarn,
    Rope,
    Tensors,
)
from oomph.architectures.hf_keys import Config, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _of_qwen(config: Config) -> dict[str, Value]:
    return {
        "context_length": config["seq_length"],
        "rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
        "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
    }


def _with_deep_images(config: Config) -> dict[str, Value]:
    """The layers that images' features are added to, which the vision model's part counts."""
    vision = table(config, "vision_config") or table(
        table(config, "thinker_config"), "vision_config"
    )
    return {"n_deepstack_layers": len(vision.get("deepstack_visual_indexes") or ())}


def _half_gated(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated feed-forward of half the width that the metadata say (the first Qwen)."""
    n_ff = model.per_layer("feed_forward_length")[il] // 2
    yield "ffn_gate.weight", (model.n_embd, n_ff)
    yield "ffn_up.weight", (model.n_embd, n_ff)
    yield "ffn_down.weight", (n_ff, model.n_embd)


_QWEN3_YARN: Final = "https://huggingface.co/Qwen/Qwen3-30B-A3B#processing-long-texts"
_M_ROPE: Final = Rope(sections="always")

FAMILIES: Final = (
    Family(
        name="qwen",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, parts.fused_query_key_value_bias),
            dense=(_half_gated,),
        ),
        rope=Rope(factors="none"),
        hugging_face=HuggingFace(model_types=("qwen",), translate=_of_qwen),
    ),
    Family(
        name="qwen2",
        tensors=Tensors(attention=parts.BIASED_ATTENTION),
        yarn=(
            PublishedYarn(
                context_length=32768,
                original=32768,
                factor=4.0,
                source="https://huggingface.co/Qwen/Qwen2.5-7B-Instruct#processing-long-texts",
                min_embedding=3584,  # 7B and larger
            ),
        ),
        hugging_face=HuggingFace(model_types=("qwen2",)),
    ),
    Family(
        name="qwen2moe",
        tensors=Tensors(
            attention=parts.BIASED_ATTENTION,
            experts=(*parts.SHARED_EXPERTS, parts.shared_expert_gate),
        ),
        graph=GraphRules(expert_weights_norm=False, shared_gate="silu_div"),
        hugging_face=HuggingFace(model_types=("qwen2_moe",)),
    ),
    Family(
        name="qwen3",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        graph=GraphRules(weighs_scores=True),
        yarn=(
            PublishedYarn(
                context_length=40960,
                original=32768,
                factor=4.0,
                source=_QWEN3_YARN,
                min_embedding=2560,  # 0.6B and 1.7B are published for 32,768 tokens only
            ),
        ),
        hugging_face=HuggingFace(model_types=("qwen3",)),
    ),
    Family(
        name="qwen3moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        yarn=(PublishedYarn(context_length=40960, original=32768, factor=4.0, source=_QWEN3_YARN),),
        hugging_face=HuggingFace(model_types=("qwen3_moe",)),
    ),
    Family(
        name="qwen2vl",
        tensors=Tensors(attention=parts.BIASED_ATTENTION),
        rope=_M_ROPE,
        hugging_face=HuggingFace(
            model_types=("qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text")
        ),
    ),
    Family(
        name="qwen3vl",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        graph=GraphRules(weighs_scores=True),
        rope=_M_ROPE,
        hugging_face=HuggingFace(
            model_types=("qwen3_vl_text", "qwen3_vl"), translate=_with_deep_images
        ),
    ),
    Family(
        name="qwen3vlmoe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        rope=_M_ROPE,
        hugging_face=HuggingFace(
            model_types=("qwen3_vl_moe_text", "qwen3_vl_moe"), translate=_with_deep_images
        ),
    ),
)
