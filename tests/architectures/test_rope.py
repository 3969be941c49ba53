"""How far positions reach: published figures, metadata of every kind, and any context."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.rope import (
    extension,
    longest_extension,
    native_context,
    own_scaling,
    uncapped_context_length,
)
from oomph.architectures.spec import ModelSpec
from oomph.config import padded_context
from oomph.errors import ConfigError


def spec(name: str, **metadata: Any) -> ModelSpec:
    """A published model with other metadata; keys without the architecture, dots as double
    underscores."""
    found = catalogue_model(name, "Q4_K_M")
    changed = {f"{found.arch}.{key.replace('__', '.')}": value for key, value in metadata.items()}
    return replace(found, metadata={**found.metadata, **changed})


@pytest.mark.parametrize(
    ("name", "native", "reach", "is_published"),
    [
        ("qwen3-30b-a3b", 40960, 131072, True),
        ("qwen3-0.6b", 40960, 163840, False),  # its makers publish 32,768 tokens and no YaRN
        ("qwen2.5-7b", 32768, 131072, True),
        ("qwen3.5-35b-a3b", 262144, 1048576, True),
        ("smollm2-135m", 8192, 32768, False),
    ],
)
def test_what_makers_publish_is_told_from_convention(
    name: str, native: int, reach: int, is_published: bool
) -> None:
    longest = longest_extension(spec(name))
    assert native_context(spec(name)) == native
    assert longest is not None
    assert (longest.n_ctx, longest.is_published) == (reach, is_published)
    assert ("https://huggingface.co/" in longest.reason) == is_published


@pytest.mark.parametrize(
    "name", ["gpt-oss-20b", "gemma-3-4b", "llama-3.1-8b", "phi-3-mini-128k", "mamba2-2.7b"]
)
def test_a_file_that_is_stretched_already_or_has_no_positions_promises_no_more(name: str) -> None:
    assert longest_extension(spec(name)) is None


@pytest.mark.parametrize(
    ("n_ctx", "factor"),
    [(40960, None), (40961, 1.5), (65536, 2.0), (65537, 2.25), (90000, 2.75), (131072, 4.0)],
)
def test_qwen3_is_stretched_from_the_context_that_its_makers_name(
    n_ctx: int, factor: float | None
) -> None:
    scaling = extension(spec("qwen3-30b-a3b"), n_ctx)
    assert (scaling and scaling.factor) == factor
    if scaling:
        assert (scaling.type, scaling.original_context_length, scaling.is_published) == (
            "yarn",
            32768,
            True,
        )


@given(st.integers(40_961, 1 << 22))
def test_the_factor_is_the_smallest_that_reaches(n_ctx: int) -> None:
    scaling = extension(spec("qwen3-30b-a3b"), n_ctx)
    assert scaling is not None
    assert n_ctx <= scaling.n_ctx < padded_context(n_ctx) + 2 * 32_768 / 4


def test_beyond_the_published_factor_nobody_vouches() -> None:
    scaling = extension(spec("qwen3-30b-a3b"), 131073)
    assert scaling is not None
    assert (scaling.factor, scaling.is_published) == (4.25, False)
    assert "no promise" in scaling.reason


def test_llama_server_needs_no_override_for_new_yarn_and_one_for_the_rest() -> None:
    assert uncapped_context_length(spec("qwen3-30b-a3b"), 40000) is None
    assert uncapped_context_length(spec("qwen3-30b-a3b"), 90000) is None
    assert uncapped_context_length(spec("gemma-3-4b"), 200_000) == 200_192  # linear
    assert uncapped_context_length(spec("nemotron-h-8b"), 20_000) == 20_224  # no positions


def test_yarn_of_the_file_that_reaches_further_than_it_says_counts() -> None:
    stretched = spec(
        "qwen2.5-7b",
        rope__scaling__type="yarn",
        rope__scaling__factor=4.0,
        rope__scaling__original_context_length=32768,
    )
    assert (stretched.n_ctx_train, native_context(stretched)) == (32768, 131072)
    assert extension(stretched, 131072) is None
    assert uncapped_context_length(stretched, 131072) == 131072
    further = extension(stretched, 200_000)
    assert further is not None
    assert (further.factor, further.original_context_length, further.is_published) == (
        7.0,
        32768,
        False,
    )


def test_linear_scaling_of_the_file_is_multiplied_because_llama_cpp_replaces_it() -> None:
    scaling = extension(spec("gemma-3-4b"), 200_000)
    assert scaling is not None
    assert (scaling.type, scaling.factor) == ("linear", 14.0)


def test_learned_positions_cannot_be_stretched() -> None:
    model = spec("starcoder2-3b")
    learned = replace(
        model, tensors={**model.tensors, "position_embd.weight": model.tensors["token_embd.weight"]}
    )
    assert extension(learned, 16384) is None
    assert longest_extension(learned) is None
    with pytest.raises(ConfigError, match="learned positions for 16,384 tokens"):
        extension(learned, 20_000)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -4.0, 0.0, 1e30, "four", True])
def test_a_factor_that_no_model_has_is_none(factor: object) -> None:
    model = spec("qwen2.5-7b", rope__scaling__type="yarn", rope__scaling__factor=factor)
    assert own_scaling(model) is None
    assert native_context(model) == 32768


@given(
    st.sampled_from(
        ["qwen3-30b-a3b", "gemma-3-4b", "gpt-oss-20b", "smollm2-135m", "granite-4.0-h-tiny"]
    ),
    st.integers(1, 1 << 22),
)
def test_every_context_is_reached_one_way_or_another(name: str, n_ctx: int) -> None:
    model = spec(name)
    scaling, uncapped = extension(model, n_ctx), uncapped_context_length(model, n_ctx)
    if scaling:
        assert n_ctx <= scaling.n_ctx
        assert scaling.n_ctx // 2 < max(-(-n_ctx // 256) * 256, scaling.original_context_length * 2)
    else:
        assert n_ctx <= native_context(model) or name == "granite-4.0-h-tiny"
    slot = (
        int(scaling.n_ctx)
        if scaling and scaling.type == "yarn"
        else (uncapped or model.n_ctx_train)
    )
    assert slot >= n_ctx
