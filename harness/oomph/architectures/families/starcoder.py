"""BigCode's StarCoder 2."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _norm_biases(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield "attn_norm.bias", (model.n_embd,)
    yield "ffn_norm.bias", (model.n_embd,)


def _ungated_biases(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield "ffn_up.bias", (model.per_layer("feed_forward_length")[il],)
    yield "ffn_down.bias", (model.n_embd,)


def _output_norm_bias(model: ModelSpec) -> Iterator[Tensor]:
    yield "output_norm.bias", (model.n_embd,)


FAMILIES: Final = (
    Family(
        name="starcoder2",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _norm_biases),
            attention=(*parts.BIASED_ATTENTION, parts.output_bias),
            dense=(parts.ungated, _ungated_biases),
            outside=(_output_norm_bias,),
        ),
        graph=GraphRules(norm="layer"),
    ),
)
