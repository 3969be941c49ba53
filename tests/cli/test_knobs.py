"""Knobs as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.cli.knobs import grid_knobs, parse_grid
from oomph.config import knob_value, knob_values
from oomph.errors import ConfigError
from oomph.programs.said import Said


@pytest.mark.parametrize(
    ("knob", "text", "value"),
    [
        ("n_ctx", "4096", 4096),
        ("n_gpu_layers", "-1", -1),
        ("type_k", "q8_0", "q8_0"),
        ("kv_unified", "on", True),
        ("offload_kqv", "0", False),
        ("n_expert_used", "none", None),
        ("tensor_split", "3/1", (3.0, 1.0)),
        ("flash_attn", "auto", "auto"),
        ("flash_attn", "1", "on"),
        ("n_ctx", "90k", 90_000),
        ("n_ctx", "128K", 131_072),
        ("n_gpu_layers", "all", -1),
        ("type_v", "fp16", "f16"),
        ("rope_scaling", "none", "none"),
    ],
)
def test_text_becomes_the_knobs_kind(knob: str, text: str, value: object) -> None:
    assert knob_value(knob, text) == value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8-10", [8, 9, 10]),
        ("8,10", [8, 10]),
        ("6,8-9,none", [6, 8, 9, None]),
        (None, [None]),
    ],
)
def test_list_and_range_become_values(text: str | None, values: list[int | None]) -> None:
    assert knob_values("n_expert_used", text) == values


@pytest.mark.parametrize("text", ["10-8", "8-", "1-100000", "8--9", "a-b"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="n_expert_used"):
        knob_values("n_expert_used", text)


@pytest.mark.parametrize(
    ("knob", "text"), [("n_ctx", "x"), ("n_ctx", "none"), ("kv_unified", "maybe"), ("nope", "1")]
)
def test_text_of_another_kind_is_refused(knob: str, text: str) -> None:
    with pytest.raises(ConfigError, match=knob):
        knob_value(knob, text)


@given(
    st.lists(st.integers(1, 1 << 20), min_size=1, max_size=5),
    st.lists(st.integers(1, 64), min_size=1, max_size=5),
)
def test_grid_is_every_combination_in_order(contexts: list[int], experts: list[int]) -> None:
    text = f"n_ctx={','.join(map(str, contexts))},n_expert_used={','.join(map(str, experts))}"
    assert parse_grid(text) == {"n_ctx": contexts, "n_expert_used": experts}
    asked = grid_knobs(Said(knobs={"n_ubatch": 64}), [text])
    assert [each.knobs for each in asked] == [
        {"n_ubatch": 64, "n_ctx": c, "n_expert_used": e} for c in contexts for e in experts
    ]
    apart = text.replace(",n_expert", " n_expert").split()
    assert asked == grid_knobs(Said(knobs={"n_ubatch": 64}), apart)


@pytest.mark.parametrize("text", ["", "1,2", "n_ctx", "n_ctx=1,n_ctx=2", "=1"])
def test_what_is_no_grid_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_grid(text)


def test_grid_too_large_to_answer_is_refused_before_it_is_built() -> None:
    axis = ",".join(map(str, range(1, 1001)))
    with pytest.raises(ConfigError, match="1,000,000,000 configurations"):
        grid_knobs(Said(), [f"n_ctx={axis},n_batch={axis},n_ubatch={axis}"])
