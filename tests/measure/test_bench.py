"""The real CUDA backend on phantom cards, end to end: sweeps, the four failures, two cards, a lost
card."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.measure.bench import Bench, open_bench
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep, SweepFile
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import Sensor
from oomph.records.schema import Record
from oomph.records.store import Store

pytestmark = [pytest.mark.phantom, pytest.mark.usefixtures("cuda_backend")]

CARD = "mine:24576:8.9:128"


def run(
    bench: Bench,
    model: Path,
    folder: Path,
    *,
    measure: Mapping[str, Any] | None = None,
    **config: Any,
) -> Record:
    """One point on the bench; filled with one prompt unless told otherwise."""
    measured = {"n_prompt": 512, "n_gen": 2, "depths": (0,)} | dict(measure or {})
    sweep = Sweep(file=SweepFile(name="test", model=str(model), config=config, measure=measured))
    (record,) = Runner(Store(folder), bench.executor, environment=bench.environment).run(sweep)
    return record


def vram_mib(record: Record, device: str = "CUDA0") -> float:
    return (
        next(s.peak_bytes for s in record.memory if (s.quantity, s.device) == ("vram", device))
        / 2**20
    )


@pytest.mark.parametrize(
    ("config", "label", "asked"),
    [
        ({"n_ctx": 90_000, "flash_attn": "on"}, "oom_kv", "8,448 MiB were asked for"),
        (
            {"n_ctx": 32_768, "flash_attn": "off", "n_ubatch": 2048, "n_expert_used": 10},
            "oom_compute",
            "8,552 MiB",
        ),
        ({"n_ctx": 71_936, "flash_attn": "on", "n_expert_used": 10}, "oom_runtime", "it loaded"),
    ],
)
def test_each_stage_of_out_of_memory_on_24_gib(
    qwen3_30b: Path, tmp_path: Path, config: dict[str, Any], label: str, asked: str
) -> None:
    with open_bench(CARD) as bench:
        record = run(bench, qwen3_30b, tmp_path, **config)
        assert bench.phantom is not None
        assert bench.phantom.counters().used_bytes == 0, (
            "the worker is gone and gave its memory back"
        )
    assert record.outcome.label == label
    assert asked in record.outcome.message


def test_weights_that_do_not_fit(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = write_synthetic(
        catalogue_model("qwen3-30b-a3b", "Q8_0"), tmp_path_factory.mktemp("q8") / "q8_0.gguf"
    )
    with open_bench(CARD) as bench:
        record = run(bench, model, tmp_path)
    assert (record.outcome.label, record.load_ns) == ("oom_weights", None)
    assert "MiB short on CUDA0 (30,658 MiB were asked for)" in record.outcome.message


def test_sizes_of_qwen3_30b_at_90k(qwen3_30b: Path, tmp_path: Path) -> None:
    """What llama.cpp 0.5.0 allocates on an RTX PRO 6000 Blackwell, and the 48 MiB that the run
    adds."""
    with open_bench("RTX PRO 6000 Blackwell") as bench:
        record = run(bench, qwen3_30b, tmp_path, n_ctx=90_000, n_expert_used=10, flash_attn="on")
    assert record.outcome.label == "ok"
    assert record.buffers.model_mib["CUDA0"] == [17524.43]
    assert record.buffers.kv_cache_mib["CUDA0"] == [8448.0]
    assert record.buffers.compute_mib["CUDA0"] == [300.75]
    assert vram_mib(record) == 26_324


def test_a_record_says_that_the_card_was_a_phantom_and_has_no_speed(
    qwen3_30b: Path, tmp_path: Path
) -> None:
    with open_bench("RTX 5090") as bench:
        record = run(bench, qwen3_30b, tmp_path, measure={"timing": True, "text": {"n_tokens": 64}})
    assert record.environment.backend == "phantom"
    assert "RTX 5090" in record.environment.gpus[0]["name"]
    assert (record.timings, record.quality) == ([], None)
    assert next(s.method for s in record.memory if s.quantity == "vram") == "per_process"


def test_another_card_is_another_point(qwen3_30b: Path, tmp_path: Path) -> None:
    for card, label in (("RTX 5090", "ok"), ("small:16384:8.9:80", "oom_weights")):
        with open_bench(card) as bench:
            assert run(bench, qwen3_30b, tmp_path, n_ctx=1024).outcome.label == label


def test_two_cards_share_the_layers(qwen3_30b: Path, tmp_path: Path) -> None:
    with open_bench(f"{CARD},{CARD}") as bench:
        record = run(bench, qwen3_30b, tmp_path, n_devices=2, tensor_split=[3.0, 1.0], n_ctx=8192)
    assert record.outcome.label == "ok"
    first, second = (record.buffers.model_mib[device][0] for device in ("CUDA0", "CUDA1"))
    assert first + second == pytest.approx(17524.43, abs=0.02)
    assert first > 2.5 * second
    assert vram_mib(record, "CUDA0") > vram_mib(record, "CUDA1") > second


def test_a_card_lost_in_the_middle_ends_the_point_and_not_the_program(
    qwen3_30b: Path, tmp_path: Path
) -> None:
    with open_bench(CARD) as bench:
        phantom = bench.phantom
        assert phantom is not None

        def lose_when_it_runs() -> None:
            while phantom.counters().n_launches < 2000:
                time.sleep(0.005)
            phantom.set(Sensor.LOST, 1)

        thread = threading.Thread(target=lose_when_it_runs)
        thread.start()
        record = run(
            bench, qwen3_30b, tmp_path, n_ctx=65_536, flash_attn="on", measure={"depths": ("full",)}
        )
        thread.join()
        assert record.outcome.label == "device_lost"
        phantom.set(Sensor.LOST, 0)
        assert run(bench, qwen3_30b, tmp_path, n_ctx=1024).outcome.label == "ok"
