"""Cohere's Command and North models: attention and feed-forward side by side on one norm."""

from collections.abc import Iterator
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
from oomph.architectures.hf_keys import Config, listed_windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _shared_expert(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Where the metadata count any."""
    if model.integer("expert_shared_count", 0):
        yield from parts.shared_expert(model, il)


def _translate_moe(config: Config) -> dict[str, Value]:
    width, shared = config["intermediate_size"], config.get("num_shared_experts", 0)
    found = listed_windows(config) | {
        "expert_feed_forward_length": width,
        "expert_shared_count": shared,
        "expert_weights_norm": bool(config.get("norm_topk_prob")),
        "feed_forward_length": config.get("prefix_dense_intermediate_size", width),
        "logit_scale": config["logit_scale"],
        "rope.dimension_count": config["head_dim"],
    }
    if config.get("layer_norm_eps") is not None:
        found["attention.layer_norm_epsilon"] = config["layer_norm_eps"]
    if shared:
        found["expert_shared_feed_forward_length"] = width * shared
    return found


def _translate(config: Config) -> dict[str, Value]:
    told = config.get("model_max_length"), config["max_position_embeddings"]
    return {
        "context_length": next(n for n in told if n is not None),
        "logit_scale": config["logit_scale"],
    }


def _translate_2(config: Config) -> dict[str, Value]:
    width = config["hidden_size"] // config["num_attention_heads"]
    return {
        "logit_scale": config["logit_scale"],
        "rope.dimension_count": int(config.get("rotary_pct", 1.0) * width),
    }


_TIED: Final = {"tie_word_embeddings": True, "logit_scale": 0.0625}
_TENSORS: Final = Tensors(every=(parts.norm("attn_norm"),))
_GRAPH: Final = GraphRules(layer="parallel", norm="layer")

FAMILIES: Final = (
    Family(
        name="command-r",
        tensors=_TENSORS,
        graph=_GRAPH,
        hugging_face=HuggingFace(model_types=("cohere",), translate=_translate, defaults=_TIED),
    ),
    Family(
        name="cohere2",
        tensors=_TENSORS,
        graph=_GRAPH,
        windows=Windows(period=4),
        rope=Rope(layers="windowed"),
        hugging_face=HuggingFace(model_types=("cohere2",), translate=_translate_2, defaults=_TIED),
    ),
    Family(
        name="cohere2moe",
        tensors=Tensors(
            every=(parts.norm("attn_norm"),),
            experts=(parts.experts, _shared_expert),
            next_token=(parts.next_token_projection,),
        ),
        windows=Windows(period=4, dense_first=True),
        rope=Rope(layers="windowed_or_leading", is_whole=True),
        graph=GraphRules(
            layer="parallel",
            norm="metadata",
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            averages_shared=True,
            outputs_at="after_norm",
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(
            model_types=("cohere2_moe",),
            translate=_translate_moe,
            defaults={"tie_word_embeddings": True},
        ),
        loaded_of_heads=parts.NEXT_TOKEN_NAMES,
    ),
)
