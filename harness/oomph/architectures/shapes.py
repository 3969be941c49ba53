"""Every tensor of a published model, by its family's parts.

The list is in llama.cpp's order (`llama_model_loader::weight_name_comparer`: by block, then by
name), which is the order in which llama-quantize counts and writes.
"""

from collections.abc import Collection, Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families import FAMILIES, family_of
from oomph.architectures.family import Family, Tensors
from oomph.architectures.layers import (
    attending_layers,
    feeding_layers,
    indexing_layers,
    is_expert_layer,
    n_decoding,
    n_predicting,
    recurrent_layers,
)
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Part, Tensor
from oomph.errors import UnknownNameError

EXTRAS: Final = ("tied_output", "rope_freqs", "rope_factors", "classifier", "score", "dense")
"""What a file may have or lack without its metadata saying so; a catalogue entry lists them under
`extras`."""


def _parts(model: ModelSpec, family: Family, tensors: Tensors) -> Iterator[tuple[Part, ...]]:
    """The parts of each block, block by block."""
    n_more = n_predicting(model)
    attends = (*attending_layers(model), *(True,) * n_more)
    indexes = (*indexing_layers(model), *(True,) * n_more)
    is_recurrent = (*recurrent_layers(model), *(False,) * n_more)
    feeds_only = (*feeding_layers(model), *(False,) * n_more)
    for il in range(n_decoding(model) + n_more):
        chosen = tensors.every
        if attends[il]:
            chosen += tensors.attention
        if indexes[il]:
            chosen += tensors.indexer
        if is_recurrent[il]:
            chosen += tensors.recurrent
        is_head = il >= n_decoding(model)
        if feeds_only[il] or family.graph.layer != "single" or is_head:
            routes = is_expert_layer(model, il) and not (is_head and tensors.feeds_heads_densely)
            chosen += tensors.experts if routes else tensors.dense
        if il >= n_decoding(model):
            chosen += tensors.next_token
        yield chosen


def _outside_blocks(
    model: ModelSpec, family: Family, tensors: Tensors, extras: Collection[str]
) -> Iterator[Tensor]:
    n_embd, n_vocab = model.n_embd, model.integer("vocab_size")
    if family.head != "none" and "tied_output" not in extras:
        yield "output.weight", (n_embd, n_vocab)
    if family.output_norm:
        yield f"{family.output_norm}.weight", (n_embd,)
    for part in tensors.outside:
        yield from part(model)
    for name in ("classifier", "score", "dense"):
        if name in extras and name in tensors.heads:
            yield from tensors.heads[name](model)
    half_rope = model.integer("rope.dimension_count", parts.head_size(model)[0]) // 2
    if "rope_factors" in extras:
        yield "rope_factors_long.weight", (half_rope,)
        yield "rope_factors_short.weight", (half_rope,)
    if "rope_freqs" in extras:
        yield "rope_freqs.weight", (half_rope,)
    yield "token_embd.weight", (n_embd, n_vocab)


def tensor_shapes(model: ModelSpec, *, extras: Collection[str] = ()) -> tuple[Tensor, ...]:
    """Name and dimensions of every tensor of `model`, whose own `tensors` need not be known.

    `extras` (of `EXTRAS`) says what the metadata does not: `tied_output` (no output.weight),
    `rope_freqs` and `rope_factors` (tables of rotary frequencies), `classifier` and `score` (the
    two parts of a reranker's head), `dense` (what follows pooling). UnknownNameError for an
    architecture whose family declares no tensors.
    """
    family = family_of(model.arch)
    if family.tensors is None:
        known = sorted(name for name, other in FAMILIES.items() if other.tensors)
        raise UnknownNameError(
            f"{model.source}: the tensors of architecture {model.arch!r} are not known without a "
            f"file; those of {', '.join(known)} are"
        )
    found = list(_outside_blocks(model, family, family.tensors, extras))
    if family.blocks == "blk":
        found.sort()
    for il, chosen in enumerate(_parts(model, family, family.tensors)):
        block = (tensor for part in chosen for tensor in part(model, il))
        found += sorted((f"{family.blocks}.{il}.{name}", ne) for name, ne in block)
    return tuple(found if family.blocks == "blk" else sorted(found))
