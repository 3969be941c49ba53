"""What llama.cpp's loaders take of a file: output biases, and widths by layer.

Facts of the `load_arch_tensors` of src/models/*.cpp of 0.5.0, by llama.cpp's name of the
architecture: a file with a tensor that its loader does not ask for, or asks for in other
dimensions, is refused.
"""

from collections.abc import Iterator
from typing import Final

from oomph.architectures.spec import ModelSpec

OUTPUT_BIAS: Final = frozenset({
    "apertus", "bert", "bloom", "codeshell", "deci", "ernie4_5", "ernie4_5-moe", "falcon-h1",
    "gpt-oss", "gpt2", "gptneox", "granite", "granite_swa", "granitehybrid", "granitemoe", "jais",
    "jais2", "jina-bert-v2", "jina-bert-v3", "llada", "llama", "llama-embed", "minicpm", "mistral3",
    "mpt", "nemotron", "nemotron_h", "nemotron_h_moe", "nomic-bert", "nomic-bert-moe", "paddleocr",
    "pangu-embedded", "phi2", "phimoe", "refact", "starcoder", "starcoder2",
})  # fmt: skip
"""Architectures whose attention may have a bias on its output projection."""

WIDTH_BY_LAYER: Final = frozenset({
    "deci", "gemma4", "gemma4-assistant", "hunyuan-moe", "nemotron_h", "nemotron_h_moe", "openelm",
    "plamo3", "qwen3next",
})  # fmt: skip
"""Architectures whose feed-forwards may have a width of their own in each layer (n_ff(i)); the
others' all have the first's."""


def unread(spec: ModelSpec) -> Iterator[str]:
    """What the loader of a known architecture would not take of the file."""
    widths = spec.per_layer("feed_forward_length", 0)
    for il, width in enumerate(widths):
        bias = f"blk.{il}.attn_output.bias"
        if bias in spec.tensors and spec.arch not in OUTPUT_BIAS:
            yield f"the tensor {bias!r} is none of architecture {spec.arch}"
        is_one_width = (
            spec.arch not in WIDTH_BY_LAYER and f"blk.{il}.ffn_down.weight" in spec.tensors
        )
        if is_one_width and width != widths[0]:
            yield (
                f"the feed-forward of block {il} is {width} wide, that of the first {widths[0]}; "
                f"those of architecture {spec.arch} are of one width"
            )
