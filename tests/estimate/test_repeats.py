"""Cutting runs of equal layers: what stays, and that the answer is the one of the whole graph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate import replays
from oomph.estimate.memory import MemoryModel
from oomph.estimate.repeats import KEPT, Run, select_layers


def test_a_dense_model_is_cut_to_three_layers_and_the_last() -> None:
    selection = select_layers("a" * 32, 3)
    assert selection.layers == (0, 1, 2, 31)
    assert selection.runs == (Run((0, 1, 2), 28),)


def test_a_period_is_a_run_of_its_own() -> None:
    selection = select_layers("sssssf" * 8, 3)
    assert [("sssssf" * 8)[il] for il in selection.layers] == list("sssssf" * 3 + "sss" + "f")
    assert selection.runs == (Run((5, 11, 17), 4), Run((42, 43, 44), 2))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.sampled_from(KEPT))
def test_every_kind_of_layer_stays_in_order(signatures: list[str], keep: int) -> None:
    selection = select_layers(signatures, keep)
    assert list(selection.layers) == sorted(set(selection.layers))
    assert selection.layers[-1] == len(signatures) - 1
    assert {signatures[il] for il in selection.layers} == set(signatures)
    left_out = sum(run.n_left_out * (run.ends[1] - run.ends[0]) for run in selection.runs)
    assert len(selection.layers) + left_out == len(signatures)
    for run in selection.runs:
        assert set(run.ends) <= set(selection.layers)
        assert len({signatures[il] for il in run.ends}) == 1


@pytest.mark.parametrize(
    "model",
    [
        "qwen3-30b-a3b",
        "gemma-3-4b",
        "gpt-oss-20b",
        "phi-4-mini",
        "mamba2-2.7b",
        "granite-4.0-h-tiny",
    ],
)
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
    monkeypatch.setattr(replays, "KEPT", (10_000,))
    whole = MemoryModel(spec)
    assert whole.compute(quick.setup(config)) == with_cuts


def test_layers_on_a_card_are_alike_whatever_their_types() -> None:
    """Q4_K_M mixes types; only those of weights on the host may be copied, and so decide sizes."""
    memory = MemoryModel(catalogue_model("qwen3-30b-a3b", "Q4_K_M"))
    setup = memory.setup(RunConfig(n_ctx=8192, n_cpu_moe=12))
    signatures = memory._compute._replays._signatures(setup)
    assert len({*signatures[:12]}) > 1
    assert len({*signatures[12:]}) == 1
