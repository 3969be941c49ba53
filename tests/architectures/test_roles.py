"""Where a model's bytes are."""

import pytest

from oomph.architectures.roles import ROLES, bytes_by_role, bytes_by_type, role
from oomph.architectures.source import read_model


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("token_embd.weight", "token embedding"),
        ("output.weight", "output head"),
        ("output_norm.weight", "norms"),
        ("blk.0.attn_q.weight", "attention"),
        ("blk.0.attn_q_norm.weight", "norms"),
        ("blk.0.ffn_gate_exps.weight", "experts"),
        ("blk.0.ffn_gate_inp.weight", "router"),
        ("blk.0.ffn_gate_shexp.weight", "shared experts"),
        ("blk.0.ffn_down.weight", "dense feed-forward"),
        ("blk.0.ssm_in.weight", "recurrent"),
        ("blk.48.nextn.eh_proj.weight", "multi-token prediction"),
        ("rope_freqs.weight", "other"),
    ],
)
def test_role_follows_from_the_name(tensor: str, expected: str) -> None:
    assert role(tensor) == expected
    assert expected in ROLES


@pytest.mark.parametrize(
    "reference", ["qwen3-30b-a3b:Q4_K_M", "llama-3.2-3b:Q8_0", "gpt-oss-20b:MXFP4"]
)
def test_every_byte_has_one_role_and_one_type(reference: str) -> None:
    model = read_model(reference)
    total = sum(tensor.n_bytes for tensor in model.tensors.values())
    assert sum(bytes_by_role(model).values()) == sum(bytes_by_type(model).values()) == total
    assert list(bytes_by_role(model).values()) == sorted(
        bytes_by_role(model).values(), reverse=True
    )
