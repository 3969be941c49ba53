"""Architectures one by one: each size that llama.cpp 0.5.0's CUDA backend allocated on phantom
cards (bench/peers/architectures.py, whose rows these are)."""

from itertools import groupby
from typing import Any, Final

import pytest
from bench.peers.architectures import PRINTED_MIB, differences, kept_rows, shaped_model

from oomph.architectures.layers import windowed_layers
from oomph.config import RunConfig
from oomph.errors import ConfigError, ModelFileError
from oomph.estimate.draft_pairs import draft_of
from oomph.estimate.graph.hparams import resolve_hparams
from oomph.estimate.memory import MemoryModel
from oomph.programs.said import Said
from oomph.speculation import MTP, SIMPLE
from oomph.units import MIB

ROWS: Final[dict[str, list[dict[str, Any]]]] = {
    model: list(rows) for model, rows in groupby(kept_rows(), key=lambda row: row["model"])
}


@pytest.mark.parametrize("model", ROWS)
def test_sizes_are_those_allocated(model: str) -> None:
    found = {str(row["said"]): list(differences(row)) for row in ROWS[model]}
    assert len(found) > 1
    assert not any(found.values()), found


@pytest.mark.parametrize(
    ("model", "printed"),
    [
        ("small-hy3", (3.74, 4.0, 28.01)),
        ("small-step35", (7.04, 4.0, 27.01)),
        ("small-cohere2moe-with-head", (15.41, 16.0, 22.01)),
        ("small-mimo2-with-heads", (87.91, 1.88, 22.51)),
        ("small-nemotron-h-moe-with-head", (15.12, 4.0, 12.01)),
    ],
)
def test_prediction_heads_are_those_of_draft_mtp(
    model: str, printed: tuple[float, float, float]
) -> None:
    """The weights beyond the trunk's, cache and compute buffer that llama-server printed for
    `--spec-type draft-mtp` on the phantom card."""
    head = MemoryModel(shaped_model(model), is_head=True)
    said = Said(knobs={"n_ctx": 4096, "n_seq_max": 1, "flash_attn": "on"})
    card = head.estimate(said.config(head.model)).devices["CUDA0"]
    taken = (card.weights_bytes, card.kv_cache_bytes, card.compute_bytes)
    assert [each / MIB for each in taken] == pytest.approx(printed, abs=PRINTED_MIB)


@pytest.mark.parametrize(
    ("knobs", "weights", "compute"),
    [
        ({}, {"CUDA0": 8.64, "CPU": 6.41}, {"CUDA0": 13.0, "CUDA_Host": 9.0}),
        ({"n_seq_max": 4}, {"CUDA0": 8.64, "CPU": 6.41}, {"CUDA0": 10.0, "CUDA_Host": 6.0}),
        ({"type_k": "q8_0", "type_v": "q8_0"}, {}, {"CUDA0": 17.11, "CUDA_Host": 9.11}),
        ({"flash_attn": "off"}, {}, {"CUDA0": 150.0, "CUDA_Host": 14.0}),
        ({"offload_kqv": False}, {}, {"CUDA0": 19.0, "CUDA_Host": 9.0}),
        (
            {"spec_draft_ngl": 2},
            {"CUDA0": 7.36, "CPU": 7.68},
            {"CUDA0": 13.07, "CUDA_Host": 9.0},
        ),
        ({"swa_full": True}, {}, {"CUDA0": 16.0, "CUDA_Host": 12.0}),
        (
            {"n_devices": 2, "tensor_split": (1, 3)},
            {"CUDA0": 0.78, "CUDA1": 7.86, "CPU": 6.41},
            {"CUDA0": 30.01, "CUDA1": 33.01, "CUDA_Host": 30.02},
        ),
        (
            {"n_devices": 2, "tensor_split": (2, 1)},
            {"CUDA0": 2.09, "CUDA1": 6.55, "CPU": 6.41},
            {"CUDA0": 61.01, "CUDA1": 0.38, "CUDA_Host": 30.02},
        ),
    ],
)
def test_assistants_are_those_of_draft_mtp(
    knobs: dict[str, Any], weights: dict[str, float], compute: dict[str, float]
) -> None:
    """What llama-server printed for `--spec-draft-model` with Gemma 4's assistant, whose caches are
    the target's."""
    target = shaped_model("small-gemma4")
    said = Said(knobs={"n_ctx": 4096, "n_seq_max": 1, "flash_attn": "on", "n_devices": 1} | knobs)
    config = said.config(target)
    draft = draft_of(target, shaped_model("small-gemma4-assistant"), (MTP,))
    setup = MemoryModel(target).setup(config)
    fixed, taken = draft.fixed_bytes(config, setup, ()), draft.compute_buffers(config, setup, ())
    for printed, found in ((weights, fixed["weights_bytes"]), (compute, taken.bytes)):
        if printed:
            in_mib = {device: n / MIB for device, n in found.items() if n}
            assert in_mib == pytest.approx(printed, abs=PRINTED_MIB)
    assert not any(fixed["kv_cache_bytes"].values())


def test_assistants_go_with_their_target_alone() -> None:
    target, draft = shaped_model("small-gemma4"), shaped_model("small-gemma4-assistant")
    assert not draft_of(target, draft, (MTP,)).is_fitted
    with pytest.raises(ConfigError, match="--spec-type draft-mtp, not draft-simple"):
        draft_of(target, draft, (SIMPLE,))
    with pytest.raises(ConfigError, match="drafts for a Gemma 4 1,024 wide"):
        draft_of(shaped_model("small"), draft, (MTP,))
    with pytest.raises(ModelFileError, match="name it with --spec-draft-model"):
        MemoryModel(draft).estimate(RunConfig(n_ctx=4096))


def test_prediction_heads_have_the_windows_that_are_listed() -> None:
    step, cohere = shaped_model("small-step35"), shaped_model("small-cohere2moe-with-head")
    assert windowed_layers(step, step.n_layer)[-2:] == (True, True)
    assert windowed_layers(cohere, cohere.n_layer)[-1] is False


def test_every_fourth_layer_is_not_rotated_unless_there_are_four() -> None:
    windowed, full = shaped_model("small-smallthinker"), shaped_model("small-smallthinker-full")
    rotated = [layer.has_rope for layer in resolve_hparams(windowed).layers]
    assert rotated == [il % 4 != 0 for il in range(9)]
    assert all(layer.has_rope for layer in resolve_hparams(full).layers)


def test_the_largest_published_graph_is_replayed_whole() -> None:
    """DeepSeek-V4-Flash has 8,349 nodes; the wheel's own dry run counts so much."""
    memory = MemoryModel(shaped_model("deepseek-v4-flash"), is_dry_run=True)
    estimate = memory.estimate(RunConfig(n_ctx=4096, n_devices=0))
    assert estimate.exact_compute
    assert estimate.devices["CPU"].compute_bytes / MIB == pytest.approx(268.51, abs=PRINTED_MIB)
