"""What llama.cpp would refuse of one family's file: numbers that do not go together.

Each is an assertion or a refusal of that family's src/models/*.cpp in llama.cpp 0.5.0, or a reshape
of its graph that ends the process.
"""

from collections.abc import Iterator
from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.spec import ModelSpec
from oomph.gguf.header import Value

_MOST_COMPRESSED: Final = 16_384
"""Tokens of a block: the graph of block-sparse attention has nodes for each of them."""
_MOST_ROWS: Final = (1 << 31) - 1
"""Of an embedding that is gathered by an index of 32 bits."""


def family_refusals(spec: ModelSpec) -> Iterator[str]:
    """Why llama.cpp would not load a file of this family; nothing where no reason is known."""
    family = family_of(spec.arch)
    if (n := spec.integer("decoder_block_count", 0)) > spec.n_layer:  # a cache has block_count's
        yield f"its decoder has {n} blocks, and its cache those of {spec.n_layer}"
    key = "attention.compress_ratios"
    if f"{spec.arch}.{key}" in spec.metadata and max(spec.per_layer(key)) > _MOST_COMPRESSED:
        yield f"{spec.arch}.{key} is past the {_MOST_COMPRESSED:,} that a graph has room for"
    if family.graph.layer == "stacks":
        yield from _stack_refusals(spec)
    if family.recurrence.part == "time_mix":
        yield from _time_mix_refusals(spec)
    if f"{spec.arch}.ple.layers" in spec.metadata:
        yield from _ngram_refusals(spec)


def _stack_refusals(spec: ModelSpec) -> Iterator[str]:
    """Two stacks that take turns are as many layers as blocks (hrm-text.cpp)."""
    stack, high, low = (
        spec.integer(f"hrm.{key}", 1) for key in ("layers_per_stack", "h_cycles", "l_cycles")
    )
    if (n := stack * high * (low + 1)) != spec.n_layer:
        yield f"its two stacks of {stack} layers make {n} blocks, and it has {spec.n_layer}"


def _time_mix_refusals(spec: ModelSpec) -> Iterator[str]:
    """Heads that do not divide the embedding (rwkv6-base.cpp, rwkv7-base.cpp)."""
    size = spec.integer("wkv.head_size", 1)
    if size < 1 or spec.n_embd % size:
        yield f"heads {size} wide do not divide an embedding {spec.n_embd} wide"


def _ngram_refusals(spec: ModelSpec) -> Iterator[str]:
    """N-grams of one layer, whose ranges of rows are listed head by head (qwen4exp.cpp)."""
    layers = spec.metadata[f"{spec.arch}.ple.layers"]
    if not isinstance(layers, tuple) or len(layers) > 1:
        yield f"{spec.arch}.ple.layers is no list of one layer"
        return
    if not layers:
        return
    if not _is_count(layers[0]) or layers[0] >= spec.n_layer:
        yield f"{spec.arch}.ple.layers names a layer past its {spec.n_layer} blocks"
    n_heads = (spec.integer("ple.ngram_size", 0) - 1) * spec.integer("ple.heads_per_ngram", 0)
    offsets, sizes = (_counts(spec, f"ple.head_{which}") for which in ("offsets", "vocab_sizes"))
    if not len(offsets) == len(sizes) == n_heads > 0:
        yield f"{spec.arch}.ple.head_offsets or .head_vocab_sizes is no list of {n_heads} numbers"
    elif any(first + n > _MOST_ROWS or not n for first, n in zip(offsets, sizes, strict=True)):
        yield f"rows of {spec.arch}.ple.head_offsets are past the {_MOST_ROWS:,} that can be"


def _counts(spec: ModelSpec, key: str) -> tuple[int, ...]:
    """The whole numbers that are listed at `key`; none where it lists anything else."""
    listed = spec.metadata.get(f"{spec.arch}.{key}")
    items = listed if isinstance(listed, tuple) else ()
    whole = tuple(item for item in items if isinstance(item, int) and _is_count(item))
    return whole if len(whole) == len(items) else ()


def _is_count(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
