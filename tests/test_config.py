"""RunConfig: what is taken, what is refused and in which words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.config import (
    COUNTED,
    FLASH_ATTN,
    KNOBS,
    MAX_LAYERS,
    ROPE_SCALINGS,
    RunConfig,
)
from oomph.errors import ConfigError
from oomph.gguf.ggml_types import KV_CACHE_TYPES

PATTERNS = st.text(max_size=10).filter(lambda text: text.strip().lower() != "none")
"""Anything but the word for no pattern."""
CONFIGS = st.builds(
    RunConfig,
    n_ctx=st.integers(1, 1 << 20),
    n_ubatch=st.integers(1, 4096),
    kv_unified=st.booleans(),
    type_k=st.sampled_from(KV_CACHE_TYPES),
    flash_attn=st.sampled_from(tuple(FLASH_ATTN)),
    tensor_split=st.none() | st.lists(st.floats(0, 10), max_size=4).map(tuple),
    override_tensor=st.none() | PATTERNS,
    n_expert_used=st.none() | st.integers(1, 256),
    n_devices=st.integers(0, 16),
    rope_scaling=st.none() | st.sampled_from(tuple(ROPE_SCALINGS)),
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
        ({"split_mode": "graph"}, "split_mode is 'graph'; it must be one of none, layer, row"),
        (
            {"rope_scaling": "dynamic"},
            "rope_scaling is 'dynamic'; it must be one of none, linear, yarn",
        ),
        ({"rope_scale": float("nan")}, "rope_scale is nan; it must be at least 1, or left out"),
        ({"n_ctx": "x"}, "n_ctx is 'x'; it takes a whole number: 8192, 90k (90,000)"),
        ({"n_ctx": True}, "n_ctx is True; it takes int"),
        ({"n_ctx": 1.5}, "n_ctx is 1.5; it takes int"),
        ({"context": 1}, "unknown knob 'context'; the knobs are n_ctx"),
        ({"n_ctx": 1 << 31}, "n_ctx is 2147483648; llama.cpp counts to 2147483647"),
        (
            {"n_parallel": 4},
            "n_parallel is 4 and n_seq_max 1: the context has no place for so many sequences; "
            "set n_seq_max to 4 or more",
        ),
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


def test_what_llama_cpp_is_given_are_numbers_and_its_own_defaults_where_nothing_is_set() -> None:
    api = pytest.importorskip("llama_cpp.llama_cpp")
    config = RunConfig(type_k="q8_0", flash_attn="on", rope_scaling="yarn", rope_scale=4)
    given = config.llama_params("context")
    assert (given["type_k"], given["flash_attn_type"]) == (api.GGML_TYPE_Q8_0, 1)
    assert (given["rope_scaling_type"], given["rope_freq_scale"]) == (2, 0.25)
    assert not {"n_threads", "n_outputs_max", "yarn_orig_ctx"} & given.keys()
    for part, structure in (
        ("model", api.llama_model_default_params()),
        ("context", api.llama_context_default_params()),
    ):
        for name, value in RunConfig(n_ctx=512).llama_params(part).items():
            assert getattr(structure, name) == value, name


@pytest.mark.parametrize("name", [name for name, knob in KNOBS.items() if knob.enumeration])
def test_words_have_the_numbers_of_llama_cpp(name: str) -> None:
    api, knob = pytest.importorskip("llama_cpp.llama_cpp"), KNOBS[name]
    named = {word: n for word, n in knob.choices.items() if word != "bf16"}  # it has no name there
    assert {word: getattr(api, knob.enumeration + word.upper()) for word in named} == named


def test_every_knob_goes_somewhere() -> None:
    """A knob of a load or a context is set by its field, or by code that knows it by name."""
    by_name = {
        "n_cpu_moe",
        "n_cpu_ffn",
        "override_tensor",
        "tensor_split",
        "n_expert_used",
        "n_devices",
        "moe_cache_mib",
        "load_mode",
    }
    of_riders = {name for name in KNOBS if name.startswith(("spec_", "mmproj_", "image_"))}
    assert {
        name for name, knob in KNOBS.items() if knob.part != "work" and not knob.sets
    } == by_name | of_riders
    assert all(knob.options for knob in KNOBS.values())


def test_memory_forgets_what_it_does_not_depend_on() -> None:
    config = RunConfig(n_ctx=512, n_seq_max=2, n_parallel=2, n_depth=8, n_threads=3)
    assert config.of_memory() == RunConfig(n_ctx=512, n_seq_max=2)


def test_a_program_is_told_what_it_has_not_by_itself() -> None:
    host = {"cache_ram_mib": 8192, "ctx_checkpoints": 32}
    config = RunConfig(n_seq_max=4, swa_full=False, n_cpu_moe=3, **host)
    assert config.unlike("llama-server") == {"n_cpu_moe": 3}
    assert config.unlike("llama-cpp-python") == host | {
        "n_seq_max": 4,
        "swa_full": False,
        "n_cpu_moe": 3,
    }


def test_no_more_layers_are_named_than_a_model_can_have() -> None:
    """What a number says is done so often: a few patterns, not a gigabyte of them."""
    most = RunConfig(n_cpu_ffn=COUNTED - 1).tensor_overrides
    assert most == RunConfig(n_cpu_ffn=MAX_LAYERS).tensor_overrides
    assert most is not None
    assert len(most) < 4096
