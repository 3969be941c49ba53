"""Microsoft's Phi; a model of phi2 needs a file."""

from collections.abc import Iterator
from math import log, sqrt
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    trained = config["max_position_embeddings"]
    original = config["original_max_position_embeddings"]
    found = rotary_width(config) | {
        "attention.sliding_window": config.get("sliding_window") or 0,
        "rope.scaling.original_context_length": original,
    }
    if trained > original:  # LongRoPE's length correction
        found["rope.scaling.attn_factor"] = sqrt(1 + log(trained / original) / log(original))
    return found


def _norm_biases(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield "attn_norm.bias", (model.n_embd,)
    yield "ffn_norm.bias", (model.n_embd,)


def _head_biases(model: ModelSpec) -> Iterator[Tensor]:
    yield "output_norm.bias", (model.n_embd,)
    yield "output.bias", (model.integer("vocab_size"),)


FAMILIES: Final = (
    Family(
        name="phi2",
        graph=GraphRules(
            layer="parallel", norm="layer", scales_q=True, parallel_sum="onto_attention"
        ),
        hugging_face=HuggingFace(model_types=("phi", "phi-msft")),
    ),
    Family(
        name="phi3",
        tensors=Tensors(attention=(parts.fused_query_key_value,), dense=(parts.fused_gated,)),
        graph=GraphRules(scales_q=True, feed_forward_first=False),
        hugging_face=HuggingFace(model_types=("phi3",), translate=_translate),
    ),
    Family(
        name="phimoe",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _norm_biases),
            attention=(*parts.BIASED_ATTENTION, parts.output_bias),
            experts=(parts.dense_experts,),
            outside=(_head_biases,),
        ),
        graph=GraphRules(scales_q=True, feed_forward_first=False),
        hugging_face=HuggingFace(model_types=("phimoe",), translate=_translate),
    ),
)
