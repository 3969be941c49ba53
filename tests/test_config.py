"""RunConfig: what is taken, what is refused and in which words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.config import FLASH_ATTN, ROPE_SCALINGS, RunConfig
from oomph.errors import ConfigError
from oomph.gguf.ggml_types import KV_CACHE_TYPES

CONFIGS = st.builds(
    RunConfig,
    n_ctx=st.integers(1, 1 << 20),
    n_ubatch=st.integers(1, 4096),
    kv_unified=st.booleans(),
    type_k=st.sampled_from(KV_CACHE_TYPES),
    flash_attn=st.sampled_from(FLASH_ATTN),
    tensor_split=st.none() | st.lists(st.floats(0, 10), max_size=4).map(tuple),
    override_tensor=st.none() | st.text(max_size=10),
    n_expert_used=st.none() | st.integers(1, 256),
    n_devices=st.integers(0, 16),
    rope_scaling=st.none() | st.sampled_from(ROPE_SCALINGS),
    rope_scale=st.none() | st.floats(1, 64),
)


@given(CONFIGS)
def test_dictionary_and_json_come_back_as_the_same_configuration(config: RunConfig) -> None:
    assert RunConfig.from_mapping(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"n_ctx": 0}, "n_ctx is 0; it must be at least 1"),
        ({"n_devices": -1}, "n_devices is -1; it must be at least 0"),
        ({"n_expert_used": 0}, "n_expert_used is 0; it must be at least 1, or left out"),
        ({"type_k": "q3_k"}, "type_k is 'q3_k'; it must be one of f32, f16"),
        ({"flash_attn": True}, "flash_attn is True; it takes str"),
        ({"split_mode": "tensor"}, "split_mode is 'tensor'; it must be one of none, layer, row"),
        (
            {"rope_scaling": "dynamic"},
            "rope_scaling is 'dynamic'; it must be one of none, linear, yarn",
        ),
        ({"rope_scale": float("nan")}, "rope_scale is nan; it must be at least 1, or left out"),
        ({"n_ctx": "4096"}, "n_ctx is '4096'; it takes int"),
        ({"n_ctx": True}, "n_ctx is True; it takes int"),
        ({"n_ctx": 1.5}, "n_ctx is 1.5; it takes int"),
        ({"context": 1}, "unknown knob 'context'; the knobs are n_ctx"),
    ],
)
def test_impossible_knob_is_named_with_its_place(knobs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_mapping(knobs, where="sweep.toml")
    assert str(caught.value).startswith(f"sweep.toml: {message}")
    with pytest.raises(ConfigError):
        RunConfig().with_(**knobs)


def test_zero_and_one_are_booleans_and_lists_are_tuples() -> None:
    config = RunConfig.from_mapping({"kv_unified": 1, "offload_kqv": 0, "tensor_split": [3, 1]})
    assert (config.kv_unified, config.offload_kqv, config.tensor_split) == (True, False, (3.0, 1.0))


def test_change_leaves_the_original_and_the_other_knobs() -> None:
    base = RunConfig(n_ctx=1024, type_k="q8_0")
    assert base.with_(n_ctx=2048) == RunConfig(n_ctx=2048, type_k="q8_0")
    assert base.n_ctx == 1024


def test_knobs_of_rope_are_spelled_only_where_set_so_that_older_points_keep_their_ids() -> None:
    assert not {"rope_scaling", "rope_scale", "yarn_orig_ctx"} & RunConfig().to_dict().keys()
    scaled = RunConfig(rope_scaling="yarn", rope_scale=4, yarn_orig_ctx=32768)
    assert (
        scaled.to_dict().items()
        >= {"rope_scaling": "yarn", "rope_scale": 4, "yarn_orig_ctx": 32768}.items()
    )
