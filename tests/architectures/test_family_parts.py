"""Families with parts of their own: as many weights as llama.cpp counts, and the tensors that set
them apart."""

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec

N_PARAMS_B = {
    "gemma-3n-e2b": 4.46, "gemma-3n-e4b": 6.87, "gemma-4-26b-a4b": 25.23, "gemma-4-31b": 30.70,
    "llama-4-scout": 107.77,
    "llama-4-maverick": 400.71, "seed-oss-36b": 36.15, "smollm3-3b": 3.08, "exaone-4.0-32b": 32.00,
    "exaone-4.0-1.2b": 1.28, "command-r7b": 8.03, "command-r-35b": 34.98, "command-a": 111.06,
    "starcoder2-3b": 3.03,
    "starcoder2-7b": 7.17, "granite-3.3-8b": 8.17, "internlm2.5-7b": 7.74, "qwen2.5-vl-7b": 7.62,
    "minimax-m2": 228.69,
    "hunyuan-a13b": 80.39, "ling-mini-2.0": 16.26, "dots.llm1": 142.77, "deepseek-moe-16b": 16.38,
    "mamba2-2.7b": 2.70, "mamba-codestral-7b": 7.29, "falcon-h1-7b": 7.59, "falcon-h1-34b": 33.64,
    "lfm2-1.2b": 1.17,
    "lfm2-8b-a1b": 8.34, "nemotron-nano-9b-v2": 8.89, "nemotron-h-8b": 8.10,
    "nemotron-3-nano-30b-a3b": 31.58,
}  # fmt: skip
"""Billions of weights of the published models."""


@pytest.mark.parametrize(("name", "billions"), N_PARAMS_B.items())
def test_number_of_weights(name: str, billions: float) -> None:
    n_params = sum(tensor.n_elements for tensor in catalogue_model(name, "F16").tensors.values())
    assert n_params / 1e9 == pytest.approx(billions, abs=0.006)


def block(model: ModelSpec, il: int) -> set[str]:
    """The names of a block's tensors, without its number."""
    return {name.split(".", 2)[2] for name in model.tensors if name.startswith(f"blk.{il}.")}


def test_gemma_4_shares_caches_and_widens_the_layers_that_do() -> None:
    model = catalogue_model("gemma-4-e2b", "Q8_0")
    assert "attn_k.weight" in block(model, 14)
    assert not {"attn_k.weight", "attn_v.weight", "attn_k_norm.weight"} & block(model, 15)
    assert model.tensors["blk.14.ffn_up.weight"].ne == (1536, 6144)
    assert model.tensors["blk.15.ffn_up.weight"].ne == (1536, 12288)
    assert model.tensors["per_layer_token_embd.weight"].ne == (256 * 35, 262144)


def test_gemma_4_uses_k_as_v_without_a_window() -> None:
    model = catalogue_model("gemma-4-31b", "Q8_0")
    assert "attn_v.weight" in block(model, 4)
    assert "attn_v.weight" not in block(model, 5)
    assert model.tensors["blk.5.attn_q.weight"].ne == (5376, 32 * 512)
    assert "inp_gate.weight" not in block(model, 5)


def test_llama_4_routes_every_other_block() -> None:
    model = catalogue_model("llama-4-maverick", "Q8_0")
    assert "ffn_up.weight" in block(model, 0)
    assert {"ffn_up_exps.weight", "ffn_up_shexp.weight"} <= block(model, 1)


def test_nemotron_has_one_part_a_block() -> None:
    model = catalogue_model("nemotron-3-nano-30b-a3b", "Q8_0")
    assert "ssm_in.weight" in block(model, 0)
    assert "ffn_up_exps.weight" in block(model, 1)
    assert "attn_q.weight" in block(model, 5)
    assert not any("ffn" in name or "ssm" in name for name in block(model, 5))
    assert "ffn_gate_exps.weight" not in block(model, 1)


def test_falcon_h1_has_both_mixers_in_every_block() -> None:
    model = catalogue_model("falcon-h1-7b", "Q8_0")
    assert {"ssm_in.weight", "attn_q.weight", "ffn_norm", "ffn_up.weight"} <= block(model, 3)
    assert "ssm_norm.weight" not in block(model, 3)
