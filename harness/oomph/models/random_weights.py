"""Random weights of any ggml type that a model computes finite values with.

Stands apart from `synth`, which knows files: this knows blocks. Quantizing billions of random
floats would take hours, so the bits of a block are random and only its scales are set, such that
the weights of a row of n have the spread 1/sqrt(n) and a vector keeps its length through a matrix.
What that takes is measured on a few blocks with the `gguf` package's own dequantization.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

import gguf
from oomph.errors import ConfigError
from oomph.gguf.ggml_types import QuantType
from oomph.gguf.header import TensorInfo

CHUNK_BYTES: Final = 1 << 24
"""How much of a tensor is held at a time."""

_FACTORS: Final[dict[str, tuple[tuple[int, float], ...]]] = {
    "Q4_0": ((0, 1),), "Q4_1": ((0, 1), (2, -7.5)), "Q5_0": ((0, 1),), "Q5_1": ((0, 1), (2, -15.5)),
    "Q8_0": ((0, 1),), "Q2_K": ((80, 1), (82, 1.5)), "Q3_K": ((108, 1),), "Q4_K": ((0, 1), (2,
    7.5)),
    "Q5_K": ((0, 1), (2, 15.5)), "Q6_K": ((208, 1),), "IQ1_S": ((0, 1),), "IQ2_XXS": ((0, 1),),
    "IQ2_XS": ((0, 1),), "IQ2_S": ((0, 1),), "IQ3_XXS": ((0, 1),), "IQ3_S": ((0, 1),),
    "IQ4_NL": ((0, 1),),
    "IQ4_XS": ((0, 1),), "TQ1_0": ((52, 1),), "TQ2_0": ((64, 1),),
}  # fmt: skip
"""Byte offsets of a block's f16 factors (ggml/src/ggml-common.h), each with its size relative to
the first: that of a minimum is the middle of what it is subtracted from, so that the weights' mean
is about 0."""

_EXPONENT: Final = "MXFP4"
"""The one type whose block has a power of two for a factor: its first byte is the exponent plus
127."""

_ONES: Final = (
    "norm.weight",
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
    "ssm_d",
)


def random_chunks(tensor: TensorInfo, rng: np.random.Generator) -> Iterator[memoryview]:
    """The data of `tensor`, at most `CHUNK_BYTES` at a time: random matrices and biases, norms of
    ones.

    ConfigError for a quantized type whose blocks have no factor to set (IQ1_M).
    """
    quant = tensor.quant
    spread = 1 / np.sqrt(tensor.ne[0]) if tensor.name.endswith("weight") else 0.01
    n_left = tensor.n_elements // quant.block
    while n_left:
        n = min(n_left, CHUNK_BYTES // max(4, quant.block_bytes))
        if quant.is_quantized:
            yield _random_blocks(quant, n, spread, rng).data
        else:
            yield _as_stored(_values(tensor.name, n, spread, rng), quant).data
        n_left -= n


def _values(name: str, n: int, spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
    if name.endswith(_ONES):
        return np.ones(n, np.float32)
    if name.endswith("ssm_a"):  # llama.cpp stores -exp(A_log): a state decays
        return np.full(n, -1, np.float32)
    half_width = spread * np.sqrt(3)  # of a uniform distribution with that standard deviation
    return (rng.random(n, np.float32) * 2 - 1) * np.float32(half_width)


def _as_stored(values: NDArray[np.float32], quant: QuantType) -> NDArray[np.generic]:
    if quant.name == "BF16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.astype({"F32": np.float32, "F16": np.float16}[quant.name])


def _random_blocks(
    quant: QuantType, n: int, spread: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """`n` blocks with random contents, a row each, whose weights have the standard deviation
    `spread`."""
    n_bytes = n * quant.block_bytes
    words = rng.bit_generator.random_raw(-(-n_bytes // 8))  # five times as fast as Generator.bytes
    blocks = words.view(np.uint8)[:n_bytes].reshape(n, quant.block_bytes)
    _set_factor(blocks, quant, spread / _unit_spread(quant))
    return blocks


def _set_factor(blocks: NDArray[np.uint8], quant: QuantType, factor: float) -> None:
    if quant.name == _EXPONENT:
        blocks[:, 0] = 127 + round(np.log2(factor))
        return
    if quant.name not in _FACTORS:
        raise ConfigError(
            f"random weights of type {quant.name} cannot be made; take another quantization, or "
            "sparse ones"
        )
    for offset, relative in _FACTORS[quant.name]:
        blocks[:, offset : offset + 2] = np.frombuffer(
            np.float16(factor * relative).tobytes(), np.uint8
        )


@cache
def _unit_spread(quant: QuantType) -> float:
    """Standard deviation of random weights of that type whose factor is 1."""
    n = 512
    blocks = np.frombuffer(np.random.default_rng(0).bytes(n * quant.block_bytes), np.uint8)
    blocks = blocks.reshape(n, quant.block_bytes).copy()
    _set_factor(blocks, quant, 1.0)
    weights = gguf.dequantize(blocks, gguf.GGMLQuantizationType[quant.name])
    return float(np.std(weights))
