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
from oomph.architectures.hf_keys import rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _shared_as_wide_as_routed(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A shared expert of a routed one's width, whatever the metadata (Llama 4)."""
    n_embd, n_ff = model.n_embd, parts.expert_width(model)
    yield "ffn_gate_shexp.weight", (n_embd, n_ff)
    yield "ffn_up_shexp.weight", (n_embd, n_ff)
    yield "ffn_down_shexp.weight", (n_ff, n_embd)


FAMILIES: Final = (
    Family(
        name="llama",
        tensors=Tensors(),
        rope=Rope(is_whole=True),
        hugging_face=HuggingFace(
            model_types=("llama", "mistral", "mixtral"), translate=rotary_width
        ),
    ),
    Family(
        name="llama-embed",
        tensors=Tensors(),
        rope=Rope(is_whole=True),
        reads_cache=False,
        head="idle",
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
    ),
)
