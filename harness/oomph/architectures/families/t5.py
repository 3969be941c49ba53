"""T5: an encoder and a decoder that looks at what it made of the input, or the encoder alone."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor

_BUCKETS: Final = "attention.relative_buckets_count"


def _attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Attention, and in the first layer the table of distances that all use."""
    for name, ne in parts.query_key_value(model, il):
        yield name.replace("attn_output", "attn_o"), ne
    if il == 0:
        yield "attn_rel_b.weight", (parts.heads(model, il)[0], model.integer(_BUCKETS))


def _cross_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Attention over the encoder's output."""
    for name, ne in parts.query_key_value(model, il):
        yield f"cross_{name}".replace("attn_output", "attn_o"), ne


def _encoder(model: ModelSpec) -> Iterator[Tensor]:
    """The encoder beside the decoder."""
    for il in range(model.n_layer):
        for part in (_NORMS, _attention, parts.gated):
            for name, ne in part(model, il):
                yield f"enc.blk.{il}.{name}", ne
    yield "enc.output_norm.weight", (model.n_embd,)


_NORMS: Final = parts.norm("attn_norm", "ffn_norm")
_GRAPH: Final = GraphRules(layer="crossed", activation="relu")

FAMILIES: Final = (
    Family(
        name="t5",
        tensors=Tensors(
            every=(_NORMS, parts.norm("cross_attn_norm")),
            attention=(_attention, _cross_attention),
            outside=(_encoder,),
        ),
        rope=Rope(layers="none"),
        graph=_GRAPH,
        blocks="dec.blk",
        output_norm="dec.output_norm",
        caches_idle=True,
        loaded_of_heads=("",),
        required=(_BUCKETS,),
    ),
    Family(
        name="t5encoder",
        tensors=Tensors(attention=(_attention,)),
        rope=Rope(layers="none"),
        graph=_GRAPH,
        blocks="enc.blk",
        output_norm="enc.output_norm",
        reads_cache=False,
        head="idle",
        required=(_BUCKETS,),
    ),
)
