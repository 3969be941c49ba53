"""config.json: the same model as the catalogue's, and what 4-bit checkpoints take."""

import json
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.hf_config import read_hf_config, spec_from_hf_config
from oomph.architectures.hf_formats import NOT_RUN_NOTE, PackedFormat
from oomph.errors import ModelFileError, OomphError, UnknownNameError

LLAMA_3_1_8B: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192,
    "rope_type": "llama3"},
    "rope_theta": 500000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}  # fmt: skip
QWEN3_30B_A3B: dict[str, Any] = {
    "model_type": "qwen3_moe", "head_dim": 128, "hidden_size": 2048, "intermediate_size": 6144,
    "max_position_embeddings": 40960, "moe_intermediate_size": 768, "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000.0, "sliding_window": None,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "vocab_size": 151936,
}  # fmt: skip


def test_without_a_quantization_it_is_the_model_as_published() -> None:
    assert spec_from_hf_config(LLAMA_3_1_8B).tensors["output.weight"].quant.name == "BF16"
    half = LLAMA_3_1_8B | {"torch_dtype": "float16"}
    assert spec_from_hf_config(half).tensors["output.weight"].quant.name == "F16"
    packed = LLAMA_3_1_8B | QWEN3_30B_A3B | {"quantization_config": {"quant_method": "mxfp4"}}
    assert spec_from_hf_config(packed).tensors["blk.0.ffn_up_exps.weight"].quant.name == "MXFP4"


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
INT4 = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "ignore": ["lm_head", r"re:.*self_attn\.v_proj"],
    "config_groups": {
        "group_0": {"weights": {"num_bits": 4, "type": "int", "symmetric": True, "group_size": 128}}
    },
}


@pytest.mark.parametrize(
    ("config", "name", "up_bytes"),
    [
        (AWQ, "AWQ", 14336 * (4096 // 2 + 32 * 2.5)),
        (GPTQ, "GPTQ", 14336 * (4096 // 2 + 32 * 2.5)),
        (INT4, "compressed-tensors", 14336 * (4096 // 2 + 32 * 2)),
    ],
)
def test_linear_layers_are_packed_with_scales(
    config: dict[str, Any], name: str, up_bytes: float
) -> None:
    spec = spec_from_hf_config(
        LLAMA_3_1_8B | {"quantization_config": config, "torch_dtype": "float16"}
    )
    up = spec.tensors["blk.0.ffn_up.weight"]
    assert (up.quant.name, up.n_bytes, up.ne) == (name, up_bytes, (4096, 14336))
    for kept in ("token_embd.weight", "output.weight", "blk.0.attn_norm.weight"):
        assert spec.tensors[kept].quant.name == "F16"
    assert spec.notes == (NOT_RUN_NOTE,)
    assert spec.per_layer("attention.head_count_kv") == (8,) * 32


def test_gptq_has_a_group_index_and_exceptions_are_kept() -> None:
    gptq = spec_from_hf_config(LLAMA_3_1_8B | {"quantization_config": GPTQ})
    assert gptq.tensors["blk.0.ffn_down.g_idx"].n_bytes == 4 * 14336
    int4 = spec_from_hf_config(LLAMA_3_1_8B | {"quantization_config": INT4})
    assert int4.tensors["blk.0.attn_v.weight"].quant.name == "BF16"
    assert int4.tensors["blk.0.attn_q.weight"].quant.name == "compressed-tensors"
    assert not any(name.endswith("g_idx") for name in int4.tensors)


def test_published_awq_checkpoint_is_as_large() -> None:
    # https://huggingface.co/hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4: two files, 4.68 and
    # 1.05 GB
    spec = spec_from_hf_config(
        LLAMA_3_1_8B | {"quantization_config": AWQ, "torch_dtype": "float16"}
    )
    assert sum(tensor.n_bytes for tensor in spec.tensors.values()) / 1e9 == pytest.approx(
        5.73, rel=0.005
    )


def test_quantization_of_llama_cpp_overrules_the_checkpoint() -> None:
    packed = LLAMA_3_1_8B | {"quantization_config": AWQ}
    assert (
        spec_from_hf_config(packed, "Q4_K_M").tensors
        == catalogue_model("llama-3.1-8b", "Q4_K_M").tensors
    )
    assert spec_from_hf_config(packed, "Q4_K_M").notes == ()


def test_other_quantizations_are_named_and_not_counted() -> None:
    spec = spec_from_hf_config(LLAMA_3_1_8B | {"quantization_config": {"quant_method": "fp8"}})
    (note,) = spec.notes
    assert "in FP8 (vLLM's and SGLang's), which llama.cpp does not load, and are counted in" in note
    assert spec.tensors["output.weight"].quant.name == "BF16"


@given(
    n_inputs=st.integers(1, 1 << 16),
    group=st.integers(0, 256),
    bits=st.sampled_from([2, 3, 4, 8]),
    zero=st.booleans(),
)
def test_packed_row_is_never_smaller_than_its_parts(
    n_inputs: int, group: int, bits: int, zero: bool
) -> None:
    packed = PackedFormat(name="x", bits=bits, group=group, zero_points=zero, group_index=False)
    row = packed.row_type(n_inputs)
    n_groups = ceil(n_inputs / group) if group else 1
    exact = n_inputs * bits / 8 + n_groups * (2 + (bits / 8 if zero else 0))
    assert exact <= row.row_bytes(n_inputs) < exact + 1


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"model_type": "gptj"}, UnknownNameError, "'gptj' is not known; known are"),
        ({"num_hidden_layers": None}, ModelFileError, "block_count is missing or malformed"),
        ({"num_hidden_layers": 10**9}, ModelFileError, "block_count = 1000000000"),
        ({"num_hidden_layers": 513}, ModelFileError, "block_count = 513"),
        ({"hidden_size": 1 << 25}, ModelFileError, "embedding_length = 33554432"),
        ({"num_attention_heads": 0}, ModelFileError, "whole config.json"),
        ({"hidden_size": "4096"}, ModelFileError, "whole config.json"),
        (
            {"quantization_config": {"quant_method": "awq"}},
            ModelFileError,
            "quantization_config has no usable 'bits'",
        ),
        ({"quantization_config": AWQ | {"bits": 5}}, ModelFileError, r"number of bits \(5\)"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], error: type[OomphError], said: str) -> None:
    with pytest.raises(error, match=said):
        spec_from_hf_config(LLAMA_3_1_8B | changes)


json_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just([])
    | st.just({})
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # of a busy machine
@given(st.dictionaries(st.sampled_from(sorted(LLAMA_3_1_8B)), json_values, max_size=4))
def test_any_value_gives_a_model_or_an_error_that_says_so(changes: dict[str, Any]) -> None:
    try:
        spec = spec_from_hf_config(LLAMA_3_1_8B | changes)
    except OomphError:
        return
    assert spec.tensors["token_embd.weight"].n_bytes > 0


def test_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Qwen3-30B-A3B" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(QWEN3_30B_A3B))
    spec = read_hf_config(path, "Q8_0")
    assert (spec.name, spec.source, spec.file_bytes) == ("Qwen3-30B-A3B", str(path), None)
    for text in ("{", "[]", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(ModelFileError, match=r"config\.json"):
            read_hf_config(path)
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_hf_config(tmp_path / "missing.json")
