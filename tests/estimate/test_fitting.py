"""The search of --fit: what it gives up for, what it leaves alone, and its corners.

That it chooses as llama.cpp does is held by `tests/bench/test_fit_params.py`.
"""

from dataclasses import replace
from typing import Any

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.fitting.question import DIES, FitQuestion, Fitted
from oomph.estimate.fitting.search import fit_params
from oomph.estimate.fitting.shares import Kept, Share, Spill, divided, knobs, spills
from oomph.estimate.memory import MemoryModel
from oomph.units import MIB

DENSE = MemoryModel(catalogue_model("qwen3-0.6b", "Q8_0"), is_dry_run=True)
MIXTURE = MemoryModel(catalogue_model("granite-3.1-3b-a800m", "Q8_0"), is_dry_run=True)
SERVER = {"n_seq_max": 4, "kv_unified": True, "n_outputs_max": 4, "swa_full": False}


def question(*free_mib: int, margin_mib: int = 256, **changes: Any) -> FitQuestion:
    """llama-server on cards with so much free; changes of the question, or of its knobs."""
    own = {"n_ctx_least", "n_ctx_is_open", "layers_are_open"}
    n_cards = len(free_mib)
    config = RunConfig(**SERVER | {"n_devices": n_cards}).with_(
        **{name: value for name, value in changes.items() if name not in own}
    )
    return FitQuestion(
        config=config,
        free_bytes=[mib * MIB for mib in free_mib],
        margin_bytes=[margin_mib * MIB] * n_cards,
        **{name: value for name, value in changes.items() if name in own},
    )


def card_bytes(memory: MemoryModel, fitted: Fitted) -> list[int]:
    devices = memory.estimate(fitted.config).devices
    return [devices[f"CUDA{i}"].total_bytes for i in range(fitted.config.n_devices)]


def test_what_fits_is_left_alone() -> None:
    fitted = fit_params(DENSE, question(24_000))
    assert fitted.gave_up is None
    assert fitted.config == replace(question(24_000).config, n_ctx=DENSE.model.n_ctx_train)


def test_an_open_context_shrinks_before_layers_move() -> None:
    fitted = fit_params(DENSE, question(3000))
    assert 4096 < fitted.config.n_ctx < DENSE.model.n_ctx_train
    assert fitted.config.n_ctx % 256 == 0
    assert fitted.config.n_gpu_layers == -1
    assert card_bytes(DENSE, fitted)[0] <= (3000 - 256) * MIB


@pytest.mark.parametrize(
    ("changes", "n_ctx"),
    [({"n_ctx_least": None}, DENSE.model.n_ctx_train), ({"n_ctx_least": 8192}, 8192)],
    ids=["-c 0", "--fit-ctx"],
)
def test_the_shortest_context_is_kept(changes: dict[str, Any], n_ctx: int) -> None:
    fitted = fit_params(DENSE, question(1000, **changes))
    assert fitted.config.n_ctx == n_ctx
    assert 0 <= fitted.config.n_gpu_layers <= DENSE.model.n_layer


def test_streams_of_their_own_share_the_context() -> None:
    fitted = fit_params(DENSE, question(3000, kv_unified=False))
    assert fitted.config.n_ctx % (256 * 4) == 0
    assert fitted.config.n_ctx >= 4 * 4096


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers_are_open": False, "n_gpu_layers": 99}, "n_gpu_layers already set by user to 99"),
        ({"layers_are_open": False}, "n_gpu_layers already set by user to -2"),
        ({"tensor_split": (3.0, 1.0)}, "tensor_split already set by user"),
        ({"override_tensor": "exps=CPU"}, "tensor_buft_overrides already set by user"),
        ({"n_cpu_moe": 2}, "tensor_buft_overrides already set by user"),
        ({"split_mode": "row"}, "refuses split_mode row"),
        ({"split_mode": "tensor"}, "not implemented for SPLIT_MODE_TENSOR"),
        ({"type_v": "q8_0", "flash_attn": "off"}, "refuses type_v q8_0"),
    ],
)
def test_what_a_user_has_set_makes_it_give_up(changes: dict[str, Any], said: str) -> None:
    fitted = fit_params(DENSE, question(700, 700, n_ctx=8192, n_ctx_is_open=False, **changes))
    assert said in (fitted.gave_up or "")
    assert fitted.config.n_ctx == 8192


def test_no_layer_and_two_cards_end_llama_cpp() -> None:
    """Weights on the cards by layers on the cards: 0 of them. Seen: llama-fit-params -ngl 0 on two
    phantom cards ends by SIGFPE."""
    changes = {"layers_are_open": False, "n_gpu_layers": 0}
    fitted = fit_params(DENSE, question(300, 300, **changes))
    assert fitted.gave_up == DIES


def test_one_card_of_several_has_the_first_margin() -> None:
    asked = question(9000, 3000, split_mode="none", main_gpu=1)
    wide = replace(asked, margin_bytes=[100 * MIB, 900 * MIB])
    narrow = replace(asked, margin_bytes=[900 * MIB, 100 * MIB])
    assert fit_params(DENSE, wide).config.n_ctx > fit_params(DENSE, narrow).config.n_ctx


def test_layers_fill_the_last_card_first() -> None:
    asked = question(500, 700, n_ctx=4096, n_ctx_is_open=False, margin_mib=64)
    config = fit_params(DENSE, asked).config
    assert config.tensor_split is not None
    assert sum(config.tensor_split) == config.n_gpu_layers
    assert config.override_tensor is None
    used = DENSE.estimate(config).devices
    assert used["CUDA1"].total_bytes <= (700 - 64) * MIB
    assert used["CUDA0"].total_bytes <= (500 - 64) * MIB


def test_a_mixture_leaves_experts_before_layers() -> None:
    asked = question(2200, 1500, n_ctx=4096, n_ctx_is_open=False)
    fitted = fit_params(MIXTURE, asked)
    assert fitted.config.n_gpu_layers == MIXTURE.model.n_layer + 1
    assert spills(fitted.config.override_tensor)
    for used, free in zip(card_bytes(MIXTURE, fitted), asked.free_bytes, strict=True):
        assert used <= free - 256 * MIB


def test_a_question_is_of_as_many_cards_as_run() -> None:
    with pytest.raises(ConfigError, match="asked of 2 cards, 1 with memory"):
        FitQuestion(config=RunConfig(n_devices=2), free_bytes=[1], margin_bytes=[1, 1])


def test_shares_become_knobs() -> None:
    shares = [
        Share(n_layer=3, n_part=1, first=Kept.AND_UP, spill="CUDA1"),
        Share(n_layer=4, n_part=2),
    ]
    placed = knobs(shares, 8)
    assert placed["n_gpu_layers"] == 7
    assert placed["tensor_split"] == (3.0, 4.0)
    assert spills(placed["override_tensor"]) == [
        Spill(first=4, last=4, kept=Kept.AND_UP, home="CUDA1"),
        Spill(first=7, last=8, kept=Kept.ALL_BUT_EXPERTS, home="CPU"),
    ]


def test_a_part_taken_from_none_wraps_as_in_llama_cpp() -> None:
    """The output moved off the last card, which had no layer in part to give."""
    placed = knobs([Share(n_layer=9, n_part=1), Share(n_layer=0, n_part=(0 - 1) % (1 << 32))], 8)
    assert placed["tensor_split"] == (9.0, 0.0)
    assert spills(placed["override_tensor"]) == [
        Spill(first=8, last=8, kept=Kept.ALL_BUT_EXPERTS, home="CPU")
    ]


def test_overrides_of_others_are_not_read_as_its_own() -> None:
    assert spills("exps=CPU,blk\\.3\\.ffn_down.*=CPU") == [
        Spill(first=3, last=3, kept=Kept.AND_GATE, home="CPU")
    ]
    assert spills(None) == []


def test_cards_without_a_split_share_by_what_is_free() -> None:
    config = divided(RunConfig(n_devices=2), [3 << 30, 1 << 30])
    assert config.tensor_split == (3072.0, 1024.0)
    said = RunConfig(n_devices=2, tensor_split=(1.0, 1.0))
    assert divided(said, [3 << 30, 1 << 30]) == said


def test_a_dry_run_forgets_where_norms_were_pinned() -> None:
    """Two cards that both hold layers: the norm behind the border is copied four times more."""
    model = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
    config = RunConfig(n_ctx=16_384, n_devices=2, n_outputs_max=1, tensor_split=(1.0, 1.0))
    real, dry = (
        MemoryModel(model, is_dry_run=is_dry).estimate(config).devices["CUDA1"].compute_bytes / MIB
        for is_dry in (False, True)
    )
    # as llama.cpp 0.5.0 printed them on two phantom cards
    assert real == pytest.approx(160.04, abs=0.01)
    assert dry == pytest.approx(176.04, abs=0.01)
