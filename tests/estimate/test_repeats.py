"""Cutting runs of equal layers: what stays, and that the answer is the one of the whole graph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate import compute
from oomph.estimate.memory import MemoryModel
from oomph.estimate.repeats import Cut, select_layers

CUTS = (*compute.CUTS, Cut(3, (1, 2)))


def test_a_dense_model_is_cut_to_two_layers_and_the_last() -> None:
    selection = select_layers("a" * 32, Cut(2, (1, 2)))
    assert selection.layers == (0, 1, 31)
    assert selection.must_agree == ((0, 1),)


def test_runs_within_periods_are_cut_first() -> None:
    selection = select_layers("sssssf" * 8, Cut(2, (1, 2)))
    assert [("sssssf" * 8)[il] for il in selection.layers] == list("ssfssfssf")
    assert (0, 1) in selection.must_agree
    assert (5, 11) in selection.must_agree


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.sampled_from(CUTS))
def test_every_kind_of_layer_stays_in_order(signatures: list[str], cut: Cut) -> None:
    selection = select_layers(signatures, cut)
    assert list(selection.layers) == sorted(set(selection.layers))
    assert selection.layers[-1] == len(signatures) - 1
    assert {signatures[il] for il in selection.layers} == set(signatures)
    for pair in selection.must_agree:
        assert set(pair) <= set(selection.layers)
        assert signatures[pair[0]] == signatures[pair[1]]


@pytest.mark.parametrize("model", ["qwen3-30b-a3b", "gemma-3-4b", "gpt-oss-20b"])
@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"n_ctx": 32768, "n_ubatch": 2048},
        {"flash_attn": "off"},
        {"n_gpu_layers": 9},
        {"n_cpu_moe": 7},
        {"n_devices": 2},
        {"type_k": "q8_0", "type_v": "q8_0", "swa_full": False},
    ],
    ids=str,
)
def test_what_was_left_out_would_not_have_mattered(
    model: str, knobs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, config = catalogue_model(model, "Q4_K_M"), RunConfig().with_(**knobs)
    quick = MemoryModel(spec)
    with_cuts = quick.compute(quick.setup(config))
    monkeypatch.setattr(compute, "CUTS", ())
    whole = MemoryModel(spec)
    assert whole.compute(quick.setup(config)) == with_cuts


def test_of_longer_periods_another_number_may_stay() -> None:
    selection = select_layers("sssssf" * 8, Cut(2, (1, 2), True, 3))
    assert [("sssssf" * 8)[il] for il in selection.layers] == list("s" + "ssf" * 4)
