"""Meta's Llama, and what llama.cpp runs as it (Mistral, Mixtral and many more)."""

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
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _shared_as_wide_as_routed(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A shared expert of a routed one's width, whatever the metadata (Llama 4)."""
    n_embd, n_ff = model.n_embd, parts.expert_width(model)
    yield "ffn_gate_shexp.weight", (n_embd, n_ff)
    yield "ffn_up_shexp.weight", (n_embd, n_ff)
    yield "ffn_down_shexp.weight", (n_ff, n_embd)


def _translate_4(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {
        "feed_forward_length": config["intermediate_size_mlp"],
        "expert_feed_forward_length": config["intermediate_size"],
        "interleave_moe_layer_step": config["interleave_moe_layer_step"],
    }


FAMILIES: Final = (
    Family(
        name="llama",
        tensors=Tensors(),
        rope=Rope(is_whole=True),
        hugging_face=HuggingFace(
            model_types=("llama", "mistral", "mixtral", "internlm3", "LlamaForCausalLM"),
            applies=lambda config: "draft_vocab_size" not in config,  # EAGLE-3
            translate=rotary_width,
        ),
    ),
    Family(
        name="llama-embed",
        tensors=Tensors(),
        rope=Rope(is_whole=True),
        reads_cache=False,
        head="idle",
        hugging_face=HuggingFace(
            model_types=("llama_bidirec", "LlamaBidirectionalModel"), translate=rotary_width
        ),
    ),
    Family(
        name="llama4",
        tensors=Tensors(experts=(parts.experts, _shared_as_wide_as_routed)),
        windows=Windows(period=4, n_tokens=8192, is_fixed=True),
        rope=Rope(layers="stepped"),
        graph=GraphRules(
            norms_rotated_below=128,
            temperature="unrotated",
            expert_gating="sigmoid",
            expert_weights_norm=False,
            weighs_inputs=True,
        ),
        hugging_face=HuggingFace(model_types=("llama4_text",), translate=_translate_4),
    ),
)
