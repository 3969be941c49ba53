"""ggml's tensor types: their numbers in a GGUF file and the bytes of a block.

The table is llama.cpp 0.5.0's (`ggml/include/ggml.h` for the numbers, `gguf-py/gguf/constants.py`,
`GGML_QUANT_SIZES`, for the sizes); a test holds it against the `gguf` package.
"""

from typing import Final

from oomph.frozen import frozen


@frozen
class QuantType:
    """One ggml type: `block` weights are stored in `block_bytes` bytes."""

    name: str
    number: int
    block: int
    block_bytes: int

    def row_bytes(self, n_elements: int) -> int:
        """Bytes of a row of `n_elements`, which is a multiple of the block (ggml_row_size)."""
        return n_elements // self.block * self.block_bytes

    @property
    def bits_per_weight(self) -> float:
        """Average bits a weight takes, scales included."""
        return 8 * self.block_bytes / self.block

    @property
    def is_quantized(self) -> bool:
        """Whether weights share a scale in a block (ggml_is_quantized)."""
        return self.block > 1


_TABLE: Final = (
    ("F32", 0, 1, 4), ("F16", 1, 1, 2), ("Q4_0", 2, 32, 18), ("Q4_1", 3, 32, 20), ("Q5_0", 6, 32,
    22),
    ("Q5_1", 7, 32, 24), ("Q8_0", 8, 32, 34), ("Q8_1", 9, 32, 36), ("Q2_K", 10, 256, 84),
    ("Q3_K", 11, 256, 110), ("Q4_K", 12, 256, 144), ("Q5_K", 13, 256, 176), ("Q6_K", 14, 256, 210),
    ("Q8_K", 15, 256, 292), ("IQ2_XXS", 16, 256, 66), ("IQ2_XS", 17, 256, 74), ("IQ3_XXS", 18, 256,
    98),
    ("IQ1_S", 19, 256, 50), ("IQ4_NL", 20, 32, 18), ("IQ3_S", 21, 256, 110), ("IQ2_S", 22, 256, 82),
    ("IQ4_XS", 23, 256, 136), ("I8", 24, 1, 1), ("I16", 25, 1, 2), ("I32", 26, 1, 4), ("I64", 27,
    1, 8),
    ("F64", 28, 1, 8), ("IQ1_M", 29, 256, 56), ("BF16", 30, 1, 2), ("TQ1_0", 34, 256, 54),
    ("TQ2_0", 35, 256, 66), ("MXFP4", 39, 32, 17), ("NVFP4", 40, 64, 36), ("Q1_0", 41, 128, 18),
    ("Q2_0", 42, 64, 18),
)  # fmt: skip

QUANTS: Final[dict[str, QuantType]] = {
    name: QuantType(name=name, number=number, block=block, block_bytes=n_bytes)
    for name, number, block, n_bytes in _TABLE
}
QUANTS_BY_NUMBER: Final[dict[int, QuantType]] = {quant.number: quant for quant in QUANTS.values()}

KV_CACHE_TYPES: Final = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""What llama.cpp takes for `--cache-type-k` and `--cache-type-v` (common/arg.cpp, kv_cache_types).
"""


def quant(name: str) -> QuantType:
    """The type of that name in any case (`"q8_0"`, `"F16"`); KeyError for a name that ggml does not
    have."""
    return QUANTS[name.upper()]
