"""What llama.cpp would refuse of a file: each number by its key, all of them by the tensors.

Metadata are held against one table, then against each other, then against the tensors' names and
shapes, once, where a file enters (`from_gguf`). Past that nothing asks again whether a number makes
sense. Checked is what `llama_model_base::load_hparams`, `create_tensor` and the graphs of
llama.cpp 0.5.0 stop at, so a file that it loads is never refused here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from math import inf
from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.family_checks import family_refusals
from oomph.architectures.file_rules import RULES, Rule
from oomph.architectures.layers import (
    attending_layers,
    n_predicting,
    sliding_window,
    windowed_layers,
)
from oomph.architectures.loaders import unread
from oomph.architectures.shapes import tensor_shapes
from oomph.architectures.spec import TOKEN_TYPES, ModelSpec
from oomph.gguf.header import GGUFFile, SkippedArray, Value

_MAX_SECTIONS: Final = 4
_LISTS: Final = (
    "attention.sliding_window_pattern",
    "attention.recurrent_layers",
    "attention.indexer.types",
)
"""Flags by block that decodes."""
_REQUIRED: Final = ("block_count", "context_length", "embedding_length")
_TYPES: Final = {"count": "u32", "number": "f32", "flag": "bool", "word": "str"}
_ITEMS: Final = ("i32", "u32")
_MAY_BE_THERE: Final = ("rope_freqs", "rope_factors", "classifier", "score")
_BLOCK: Final = re.compile(r"blk\.([0-9]+)\.")


def refusal(spec: ModelSpec, file: GGUFFile) -> str | None:
    """Why llama.cpp would not load the file that `spec` was read from, or would end over its graph;
    None where nothing is known to stop it."""
    return next(_refusals(spec, file.value_types), None)


def nonsense(spec: ModelSpec) -> str | None:
    """A number that llama.cpp would take and no model can have; None where there is none."""
    for key in ("rope.scaling.factor", "rope.scale_linear"):
        factor = spec.hparam(key, 0.0)
        if not 0 <= factor < inf:
            return f"{spec.arch}.{key} is {factor:g}, by which no positions can be divided"
    return None


def _refusals(spec: ModelSpec, types: Mapping[str, str]) -> Iterator[str]:
    for key in (*_REQUIRED, *_required_by_family(spec)):
        if f"{spec.arch}.{key}" not in spec.metadata:
            yield f"the key {spec.arch}.{key} is missing"
    if "token_types.weight" in spec.tensors and not spec.metadata.get(TOKEN_TYPES):
        yield f"the key {TOKEN_TYPES} is missing"
    for key, rule in RULES.items():
        yield from _key_refusals(spec, key, rule, types.get(f"{spec.arch}.{key}"))
    yield from _layer_refusals(spec)
    yield from _expert_refusals(spec)
    yield from _head_refusals(spec)
    yield from _recurrent_refusals(spec)
    yield from family_refusals(spec)
    yield from _block_refusals(spec)
    yield from _shape_refusals(spec)
    if _has_graph(spec):
        yield from unread(spec)


def _required_by_family(spec: ModelSpec) -> Iterator[str]:
    """What a known family cannot do without: what its norms add to a variance, and M-RoPE's
    sections."""
    family = family_of(spec.arch)
    if _has_graph(spec):
        yield from family.required
        kinds = {"rms": "layer_norm_rms_epsilon", "layer": "layer_norm_epsilon"}
        kind = family.graph.norm
        if kind == "metadata":
            is_rms = f"{spec.arch}.attention.{kinds['rms']}" in spec.metadata
            kind = "rms" if is_rms else "layer"
        yield f"attention.{kinds[kind]}"
    if family.rope.sections == "always":
        yield "rope.dimension_sections"


def _has_graph(spec: ModelSpec) -> bool:
    """Whether it is a whole model of a known family: pieces of one are read too."""
    family = family_of(spec.arch)
    first = "token_embd_norm" if family.graph.has_norm_weights else "token_embd"
    return family.has_known_graph and f"{family.output_norm or first}.weight" in spec.tensors


def _key_refusals(spec: ModelSpec, key: str, rule: Rule, stored: str | None) -> Iterator[str]:
    """What is wrong with the value at `key`, which the file stores as `stored`."""
    full = f"{spec.arch}.{key}"
    value = spec.metadata.get(full)
    if value is None:
        return
    items: tuple[Value, ...] = (value,)
    is_read = rule.is_general or family_of(spec.arch).has_known_graph
    if isinstance(value, tuple | SkippedArray):
        n_items = value.count if isinstance(value, SkippedArray) else len(value)
        if not rule.by_layer and is_read:
            yield f"{full} is an array of {n_items}, where one value is wanted"
        elif rule.by_layer and n_items != spec.metadata.get(f"{spec.arch}.block_count"):
            yield f"{full} has {n_items} items, and the model {spec.n_layer} blocks"
        elif stored is not None and stored not in _ITEMS:
            yield f"{full} is an array of {stored}, where {' or '.join(_ITEMS)} are wanted"
        items = value if isinstance(value, tuple) else ()
    elif is_read and stored is not None and stored != _TYPES[rule.kind]:
        yield f"{full} is stored as {stored}, where {_TYPES[rule.kind]} is wanted"
    for item in items:
        if not _is_within(item, rule):
            told = item if not isinstance(item, str) else repr(item[:40])
            yield f"{full} is {told}; {_wanted(rule)}"


def _is_within(value: Value, rule: Rule) -> bool:
    if rule.kind == "word":
        return isinstance(value, str) and value in rule.words
    if rule.kind == "flag":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return rule.least <= value <= rule.most and (rule.kind == "number" or isinstance(value, int))


def _wanted(rule: Rule) -> str:
    if rule.kind == "word":
        return f"it can be {', '.join(rule.words)}"
    if rule.kind == "flag":
        return "it can be true or false"
    what = "a whole number" if rule.kind == "count" else "a number"
    return f"it can be {what} from {rule.least:g} to {rule.most:g}"


def _layer_refusals(spec: ModelSpec) -> Iterator[str]:
    more = n_predicting(spec)
    if more >= spec.n_layer:
        yield f"{more} of its {spec.n_layer} blocks are for multi-token prediction, so none decodes"
    for key in _LISTS:
        listed = spec.metadata.get(f"{spec.arch}.{key}")
        if isinstance(listed, SkippedArray) or (
            isinstance(listed, tuple) and len(listed) < spec.n_layer - more
        ):
            yield f"{spec.arch}.{key} does not list its {spec.n_layer} blocks"

    keeps = _has_graph(spec) and family_of(spec.arch).has_cache
    if keeps and sliding_window(spec) and not any(windowed_layers(spec)):
        yield f"a window of {sliding_window(spec)} tokens is said, and no layer has one"
    sections = spec.metadata.get(f"{spec.arch}.rope.dimension_sections", ())
    if not isinstance(sections, tuple) or len(sections) > _MAX_SECTIONS:
        yield f"{spec.arch}.rope.dimension_sections is no list of up to {_MAX_SECTIONS} numbers"


def _expert_refusals(spec: ModelSpec) -> Iterator[str]:
    """load_hparams' assertions on experts."""
    n_expert, used = spec.n_expert, max(spec.per_layer("expert_used_count", 0))
    n_groups = spec.integer("expert_group_count", 0)
    if n_expert and not 1 <= used <= n_expert:
        yield f"{used} of its {n_expert} experts are used"
    if not n_expert and used:
        yield f"{used} experts are used, and it has none"
    if n_groups and n_groups >= n_expert:
        yield f"its {n_expert} experts are in {n_groups} groups"
    if n_groups > 1:
        n_used = spec.integer("expert_group_used_count", 0)
        if n_expert % n_groups or not 0 < n_used < n_groups:
            yield f"{n_used} of {n_groups} groups of its {n_expert} experts are used"


def _head_refusals(spec: ModelSpec) -> Iterator[str]:
    """Heads that share no KV heads evenly, and rotations that are not those of a head."""
    heads, attends = spec.per_layer("attention.head_count", 0), attending_layers(spec)
    if not (_has_graph(spec) and any(attends)):
        return
    if not any(heads):
        yield "none of its blocks has attention heads"
        return
    for il, (n_head, n_head_kv) in enumerate(zip(heads, spec.kv_heads, strict=True)):
        may_lack = family_of(spec.arch).graph.layer == "partial"
        is_even = (n_head > 0 or may_lack) and (not n_head_kv or n_head % n_head_kv == 0)
        if il < len(attends) and attends[il] and not is_even:
            yield f"block {il} has {n_head} attention heads and {n_head_kv} KV heads"
    indexing = spec.integer("attention.indexer.head_count", 0)
    if family_of(spec.arch).graph.attention == "position_blocks" and indexing != max(spec.kv_heads):
        yield f"its indexer has {indexing} heads, and its attention {max(spec.kv_heads)} KV heads"
    width = spec.integer("attention.key_length", spec.n_embd // max(heads))
    if width < 1:
        yield f"{max(heads)} heads do not fit into an embedding {spec.n_embd} wide"
    rotated = spec.integer("rope.dimension_count", width)
    if family_of(spec.arch).rope.is_whole and rotated != width:
        yield f"{rotated} elements of each head are rotated, and a head has {width}"
    if rotated > width or rotated % 2:
        yield f"{rotated} elements of each head are rotated; an even number up to {width} can be"


def _recurrent_refusals(spec: ModelSpec) -> Iterator[str]:
    """States that their heads, and heads that their groups, do not divide."""
    part = family_of(spec.arch).recurrence.part
    if part not in ("mamba2", "delta_net") or f"{spec.arch}.ssm.inner_size" not in spec.metadata:
        return
    inner, rank, groups = (
        spec.integer(f"ssm.{key}", 1) for key in ("inner_size", "time_step_rank", "group_count")
    )
    if inner % rank or not groups or rank % groups:
        yield f"a recurrent state {inner} wide has {rank} heads in {groups} groups"


def _block_refusals(spec: ModelSpec) -> Iterator[str]:
    """Tensors of blocks that are not counted (done_getting_tensors)."""
    for name in spec.tensors:
        if not name.startswith("blk."):
            continue
        match = _BLOCK.match(name)
        if match is None or (match[1] != "0" and match[1].startswith("0")):
            yield f"the tensor {name[:80]!r} is of no block"
        elif len(match[1]) > 3 or int(match[1]) >= spec.n_layer:
            yield f"the tensor {name[:80]!r} is past its {spec.n_layer} blocks"


def _shape_refusals(spec: ModelSpec) -> Iterator[str]:
    """Tensors of other dimensions than the metadata say (create_tensor)."""
    for name, wanted in _expected(spec):
        tensor = spec.tensors.get(name)
        if tensor and any(a != b for a, b in zip_longest(tensor.ne, wanted, fillvalue=1)):
            yield (
                f"the tensor {name!r} has the dimensions {list(tensor.ne)}, and the metadata say "
                f"{list(wanted)}"
            )


def _expected(spec: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The dimensions of tensors that the file may have, as its metadata make them."""
    yield "token_embd.weight", (spec.n_embd, spec.n_vocab)
    has_heads = f"{spec.arch}.attention.head_count" in spec.metadata
    if family_of(spec.arch).tensors is None or not (has_heads or _has_graph(spec)):
        return
    counted = {f"{spec.arch}.vocab_size": spec.n_vocab}
    bare = replace(spec, metadata={**spec.metadata, **counted})
    shapes = dict(tensor_shapes(bare, extras=_MAY_BE_THERE))
    yield from shapes.items()
    for name, ne in shapes.items():
        stem, dot, kind = name.rpartition(".")
        if dot and kind == "weight" and len(ne) > 1 and f"{stem}.bias" not in shapes:
            yield f"{stem}.bias", ne[1:]
        if name.endswith("attn_q.weight") and f"{stem[:-1]}v.weight" in shapes:
            n_out = sum(shapes[f"{stem[:-1]}{which}.weight"][1] for which in "qkv")
            yield f"{stem}kv.weight", (ne[0], n_out)
