"""The table of tensor types against the gguf package's."""

import pytest

import gguf
from oomph.gguf.ggml_types import KV_CACHE_TYPES, QUANTS, QUANTS_BY_NUMBER, quant


# Q8_1, which is never stored, still has two floats in the package and two halves in ggml-common.h.
@pytest.mark.parametrize(
    "name", [kind.name for kind in gguf.GGMLQuantizationType if kind.name != "Q8_1"]
)
def test_number_and_block_are_the_gguf_packages(name: str) -> None:
    kind = gguf.GGMLQuantizationType[name]
    ours = QUANTS[name]
    assert ours.number == kind.value
    assert (ours.block, ours.block_bytes) == gguf.GGML_QUANT_SIZES[kind]


def test_types_newer_than_the_gguf_package_are_only_these() -> None:
    newer = set(QUANTS) - {kind.name for kind in gguf.GGMLQuantizationType}
    assert newer <= {"NVFP4", "Q1_0", "Q2_0"}


def test_numbers_are_unique_and_rows_follow_from_blocks() -> None:
    assert len(QUANTS_BY_NUMBER) == len(QUANTS)
    assert quant("q4_k").row_bytes(4096) == 16 * 144
    assert quant("Q8_0").bits_per_weight == 8.5
    assert [
        name for name in ("F32", "BF16", "I8", "Q4_0", "MXFP4") if quant(name).is_quantized
    ] == ["Q4_0", "MXFP4"]


def test_every_cache_type_is_a_tensor_type() -> None:
    assert {quant(name).name.lower() for name in KV_CACHE_TYPES} == set(KV_CACHE_TYPES)
    with pytest.raises(KeyError):
        quant("q9_9")
