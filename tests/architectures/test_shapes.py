"""Tensor lists: what the parts give for each kind of block."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.layers import is_expert_layer, n_decoding, recurrent_layers
from oomph.architectures.shapes import tensor_shapes
from oomph.architectures.spec import ModelSpec
from oomph.errors import UnknownNameError
from oomph.gguf.header import Value


def bare(arch: str, **hparams: Value) -> ModelSpec:
    """A small model of that architecture; keywords are metadata keys with `__` for the dot."""
    keys: dict[str, Value] = {
        "vocab_size": 512,
        "context_length": 4096,
        "block_count": 4,
        "embedding_length": 64,
        "feed_forward_length": 128,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
    }
    keys |= {key.replace("__", "."): value for key, value in hparams.items()}
    metadata = {f"{arch}.{key}": value for key, value in keys.items()}
    return ModelSpec(name="small", arch=arch, metadata=metadata, tensors={}, source="small")


def block(model: ModelSpec, il: int) -> dict[str, tuple[int, ...]]:
    """The tensors of one block by the name that follows its number."""
    prefix = f"blk.{il}."
    return {
        name.removeprefix(prefix): ne
        for name, ne in tensor_shapes(model)
        if name.startswith(prefix)
    }


def test_dense_llama_block() -> None:
    assert block(bare("llama"), 3) == {
        "attn_norm.weight": (64,),
        "ffn_norm.weight": (64,),
        "attn_q.weight": (64, 64),
        "attn_k.weight": (64, 32),
        "attn_v.weight": (64, 32),
        "attn_output.weight": (64, 64),
        "ffn_gate.weight": (64, 128),
        "ffn_up.weight": (64, 128),
        "ffn_down.weight": (128, 64),
    }


def test_head_size_of_its_own_changes_the_projections() -> None:
    wide = block(bare("qwen3", attention__key_length=32, attention__value_length=16), 0)
    assert wide["attn_q.weight"] == (64, 128)
    assert wide["attn_k.weight"] == (64, 64)
    assert wide["attn_v.weight"] == (64, 32)
    assert wide["attn_output.weight"] == (64, 64)
    assert wide["attn_q_norm.weight"] == (32,)


def test_leading_dense_blocks_of_a_moe() -> None:
    model = bare(
        "ernie4_5-moe",
        expert_count=8,
        expert_used_count=2,
        expert_feed_forward_length=32,
        leading_dense_block_count=1,
        expert_shared_feed_forward_length=48,
    )
    assert [is_expert_layer(model, il) for il in range(4)] == [False, True, True, True]
    assert "ffn_up.weight" in block(model, 0)
    assert block(model, 1)["ffn_down_exps.weight"] == (32, 64, 8)
    assert block(model, 1)["ffn_up_shexp.weight"] == (64, 48)
    assert block(model, 1)["exp_probs_b.bias"] == (8,)


def test_hybrid_alternates_by_interval_or_by_heads() -> None:
    ssm = {
        "ssm__conv_kernel": 4,
        "ssm__state_size": 16,
        "ssm__group_count": 2,
        "ssm__time_step_rank": 4,
        "ssm__inner_size": 64,
    }
    by_interval = bare("qwen35", full_attention_interval=2, **ssm)
    assert recurrent_layers(by_interval) == (True, False, True, False)
    assert block(by_interval, 0)["attn_qkv.weight"] == (64, 64 + 2 * 2 * 16)
    assert block(by_interval, 1)["attn_q.weight"] == (64, 128)  # its output gate included
    by_heads = bare("granitehybrid", attention__head_count_kv=(0, 0, 2, 0), **ssm)
    assert recurrent_layers(by_heads) == (True, True, False, True)
    assert block(by_heads, 0)["ssm_in.weight"] == (64, 64 + (64 + 2 * 2 * 16) + 4)


def test_blocks_for_multi_token_prediction_come_last() -> None:
    air = catalogue_model("glm-4.5-air", "Q8_0")
    assert n_decoding(air) == 46
    assert air.tensors["blk.46.nextn.eh_proj.weight"].ne == (8192, 4096)
    assert "blk.45.nextn.eh_proj.weight" not in air.tensors


def test_extras_are_outside_the_blocks() -> None:
    plain = dict(tensor_shapes(bare("llama")))
    tied = dict(tensor_shapes(bare("llama"), extras=("tied_output", "rope_freqs")))
    assert plain["output.weight"] == (64, 512)
    assert set(plain) ^ set(tied) == {"output.weight", "rope_freqs.weight"}
    assert tied["rope_freqs.weight"] == (8,)


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"'falcon' are not known.*qwen3moe"):
        tensor_shapes(bare("falcon"))


@given(
    n_layer=st.integers(1, 12),
    n_embd=st.integers(1, 64).map(lambda n: n * 8),
    n_head_kv=st.integers(1, 4),
    group=st.integers(1, 8),
    n_expert=st.integers(0, 16),
    dense=st.integers(0, 3),
)
def test_list_is_in_order_without_doubles(
    n_layer: int, n_embd: int, n_head_kv: int, group: int, n_expert: int, dense: int
) -> None:
    model = bare(
        "qwen3moe",
        block_count=n_layer,
        embedding_length=n_embd,
        attention__head_count_kv=n_head_kv,
        attention__head_count=n_head_kv * group,
        attention__key_length=16,
        attention__value_length=16,
        expert_count=n_expert,
        expert_used_count=min(2, n_expert),
        leading_dense_block_count=dense,
    )
    names = [name for name, _ in tensor_shapes(model)]
    assert len(set(names)) == len(names)
    order = [(int(name.split(".")[1]) if name.startswith("blk.") else -1, name) for name in names]
    assert order == sorted(order)
    assert sum("_exps" in name for name in names) == 3 * (
        max(0, n_layer - dense) if n_expert else 0
    )
