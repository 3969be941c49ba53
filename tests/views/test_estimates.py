"""Predictions as JSON and tables: pure functions of a Prediction."""

import json
from dataclasses import replace

from oomph.cli.output import render_plain
from oomph.config import RunConfig
from oomph.estimate.host import HostFit, HostMemory
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, Prediction, SpeedEstimate
from oomph.units import MIB
from oomph.views.estimates import (
    devices_table,
    differing_knobs,
    grid_table,
    prediction_json,
    refusal_json,
    summary_lines,
    warnings,
)

MEMORY = MemoryEstimate(
    devices={
        "CUDA0": DeviceMemory(
            weights_bytes=1000 * MIB, kv_cache_bytes=200 * MIB, compute_bytes=30 * MIB
        ),
        "CUDA_Host": DeviceMemory(compute_bytes=4 * MIB),
        "CPU": DeviceMemory(weights_bytes=50 * MIB),
    },
    warnings=("the memory's",),
)
HOST = HostFit(
    memory=HostMemory(
        process_bytes=40 * MIB,
        weights_bytes=0,
        mapped_bytes=50 * MIB,
        cache_bytes=0,
        buffer_bytes=4 * MIB,
        checkpoints_bytes=0,
        prompt_cache_bytes=0,
    ),
    room_bytes=None,
    state=None,
)
"""Nothing is known of the RAM."""
PLAIN = Prediction(
    model="m", config=RunConfig(), memory=MEMORY, host=HOST, warnings=("its own", "the memory's")
)
ON_CARD = replace(
    PLAIN,
    fits=False,
    fit_probability=0.25,
    max_context=8192,
    speed=SpeedEstimate(
        prefill_tokens_per_s=1234.0,
        decode_tokens_per_s=56.7,
        decode_interval_90=(50.0, 60.0),
        bound_by="bandwidth",
    ),
)


def test_json_keeps_what_is_not_known_null() -> None:
    line = json.loads(json.dumps(prediction_json(PLAIN)))
    assert [line[key] for key in ("fits", "fit_probability", "max_context", "speed")] == [None] * 4
    assert line["total_vram_bytes"] == 1230 * MIB
    assert line["devices"]["CPU"]["weights_bytes"] == 50 * MIB
    assert line["warnings"] == ["its own", "the memory's"]
    assert RunConfig.from_mapping(line["config"]) == PLAIN.config


def test_json_has_intervals_as_pairs_or_null() -> None:
    speed = json.loads(json.dumps(prediction_json(ON_CARD)))["speed"]
    assert speed["interval_90"] == {"prefill": None, "decode": [50.0, 60.0]}
    assert speed["decode_tokens_per_s"] == 56.7


def test_refusal_carries_configuration_and_reason() -> None:
    assert refusal_json("m", RunConfig(n_ctx=1), "why")["error"] == "why"
    assert refusal_json("m", RunConfig(n_ctx=1), "why")["config"]["n_ctx"] == 1


def test_each_warning_is_said_once() -> None:
    assert warnings(PLAIN) == ("its own", "the memory's")


def test_devices_table_leaves_out_components_that_nothing_has() -> None:
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in devices_table(PLAIN).rows}
    assert list(rows) == ["weights", "KV cache", "compute buffer", "total"]
    assert rows["total"] == ["1,230.00", "4.00", "50.00"]
    assert rows["KV cache"] == ["200.00", "—", "—"]


def test_summary_says_verdict_context_and_speed_with_its_reach() -> None:
    assert summary_lines(PLAIN)[0] == "VRAM: 1,230 MiB"
    lines = "\n".join(summary_lines(ON_CARD))
    assert "VRAM: 1,230 MiB, does not fit (25 % likely)" in lines
    assert "largest n_ctx that fits (even odds): 8,192" in lines
    assert "prefill at depth 0: 1,234 tokens/s\n" in lines
    assert "decode at depth 0: 56.7 tokens/s (90 %: 50 to 60)" in lines


def test_grid_shows_the_knobs_that_differ_and_keeps_refusals_in_place() -> None:
    configs = [RunConfig(n_ctx=1024), RunConfig(n_ctx=2048), RunConfig(n_ctx=4096)]
    assert differing_knobs(configs) == ["n_ctx"]
    assert differing_knobs([]) == []
    table = grid_table("m", ["n_ctx"], list(zip(configs, (PLAIN, "why", ON_CARD), strict=True)))
    _, head, first, second, third, _ = render_plain(table).split("\n")
    assert head.split("  ")[0].strip() == "n_ctx"
    assert first.split() == ["1,024", "1,230", "200", "30", "54", "—", "—", "—", "—"]
    assert "refused" in second
    assert "no (25 %)" in third
