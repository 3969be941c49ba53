"""A record's numbers, computed once for all views."""

import math
from collections.abc import Callable

import pytest

from oomph.estimate.prediction import DeviceMemory, MemoryEstimate
from oomph.records.disturbance import remarks
from oomph.records.perplexity import perplexity
from oomph.records.schema import Record
from oomph.records.summary import RecordSummary
from oomph.units import MIB
from oomph.views.readings import predicted_components

Make = Callable[..., Record]


def test_buffers_of_the_memory_that_counts_add_up_and_a_compute_buffer_reserved_twice_counts_once(
    make_record: Make,
) -> None:
    on_host = make_record(n_ctx=1024)
    assert RecordSummary.of(on_host).components == {
        "weights": 94 * MIB,
        "kv_cache": round(22.5 * MIB),
        "compute": 108 * MIB,
        "output": round(0.19 * MIB),
    }
    buffers = {
        "model_mib": {"CUDA0": [10.0, 2.0], "CUDA1": [5.0], "CPU_Mapped": [94.0]},
        "compute_mib": {"CUDA0": [3.0, 4.0], "CUDA_Host": [9.0]},
    }
    on_cards = make_record(
        environment=on_host.environment.model_copy(update={"backend": "cuda"}), buffers=buffers
    )
    assert RecordSummary.of(on_cards).components == {"weights": 17 * MIB, "compute": 4 * MIB}


def test_the_peak_is_the_cards_where_there_are_cards_and_resident_memory_elsewhere(
    make_record: Make,
) -> None:
    on_host = make_record()
    assert RecordSummary.of(on_host).peak_bytes == 400 * MIB
    cuda = on_host.environment.model_copy(update={"backend": "cuda"})
    seen = [
        {"probe": "nvml", "quantity": "vram", "device": "CUDA0", "peak_bytes": 7 * MIB},
        {"probe": "nvml", "quantity": "vram", "device": "CUDA1", "peak_bytes": 5 * MIB},
        {"probe": "host", "quantity": "rss", "device": "host", "peak_bytes": 900 * MIB},
    ]
    assert RecordSummary.of(make_record(environment=cuda, memory=seen)).peak_bytes == 12 * MIB
    assert RecordSummary.of(make_record(memory=[])).peak_bytes is None


def test_predictions_count_the_same_memory() -> None:
    parts = {
        "CUDA0": DeviceMemory(weights_bytes=5, overhead_bytes=2),
        "CPU": DeviceMemory(weights_bytes=3),
    }
    assert predicted_components(MemoryEstimate(devices=parts)) == {"weights": 5, "overhead": 2}
    assert predicted_components(
        MemoryEstimate(devices={"CPU": DeviceMemory(kv_cache_bytes=3)})
    ) == {"kv_cache": 3}


def test_rates_are_medians_by_depth_of_single_sequences(make_record: Make) -> None:
    timings = [
        {"test": "tg32", "n_tokens": 32, "n_depth": 512, "samples_ns": [10**9]},
        {"test": "tg32", "n_tokens": 32, "n_depth": 0, "samples_ns": [10**9, 5 * 10**8, 4 * 10**8]},
        {"test": "tg32", "n_tokens": 32, "n_depth": 0, "n_parallel": 4, "samples_ns": [1]},
        {"test": "cold pp512", "n_tokens": 512, "n_depth": 0, "samples_ns": [1]},
    ]
    shallow, deep = RecordSummary.of(make_record(timings=timings)).decode
    assert (shallow.n_depth, shallow.tokens_per_s, shallow.slowest, shallow.fastest) == (
        0,
        64,
        32,
        80,
    )
    assert (deep.n_depth, deep.tokens_per_s) == (512, 32)
    assert RecordSummary.of(make_record(timings=timings)).prefill == ()


def test_perplexity_has_the_standard_error_of_its_chunks(make_record: Make) -> None:
    quality = {"text": "t", "n_tokens": 200, "nll_nats": [290.0, 310.0]}
    found = perplexity(make_record(quality=quality))
    assert found is not None
    assert found.value == pytest.approx(math.exp(3))
    assert found.high == pytest.approx(math.exp(3.1))
    assert found.low == pytest.approx(math.exp(2.9))
    single = perplexity(make_record(quality={"text": "t", "n_tokens": 100, "nll_nats": [300.0]}))
    assert single is not None
    assert (single.low, single.high) == (None, None)
    assert perplexity(make_record(quality=None)) is None


def test_experts_are_what_llama_cpp_reported_and_none_for_a_dense_model(make_record: Make) -> None:
    assert (
        RecordSummary.of(make_record(n_expert_used=8, reported={"n_expert_used": 6})).n_expert_used
        == 6
    )
    assert RecordSummary.of(make_record(n_expert_used=None)).n_expert_used is None
    assert (
        RecordSummary.of(
            make_record(n_expert_used=None, reported={"n_expert_used": 0})
        ).n_expert_used
        is None
    )


def test_what_disturbed_a_point_is_said(make_record: Make) -> None:
    conditions = {
        "throttle_reasons": ["sw_power_cap"],
        "other_processes": [{"pid": 1}],
        "other_cpus": 1.26,
    }
    assert remarks(make_record(conditions=conditions)) == (
        "throttled (sw_power_cap)",
        "beside 1 other process",
        "processor crowded (1.3 of 2 cores busy with other work)",
    )
    drifted = remarks(make_record(conditions={"drift": 0.08}))
    assert drifted == ("the machine had drifted: +8.0 % in time since the first measurement",)
    assert remarks(make_record(conditions={"drift": -0.04})) == ()
    assert remarks(make_record(conditions={"other_cpus": 0.05, "throttle_reasons": []})) == ()


@pytest.mark.parametrize(
    ("n_cpus", "worker_cpus", "other_cpus", "crowded"),
    [
        (16, 1.119, 0.23, False),  # an H200's quiet ladder
        (8, 0.997, 7.014, True),  # the same beside a compiler on every core
        (2, 1.9, 0.25, True),  # a run on the CPU with all of its cores
        (16, 8.0, 3.0, False),
        (16, 15.2, 0.5, True),
    ],
)
def test_other_work_crowds_only_where_no_core_is_left_idle(
    make_record: Make, n_cpus: int, worker_cpus: float, other_cpus: float, crowded: bool
) -> None:
    environment = make_record().environment.model_copy(update={"cpu_count": n_cpus})
    conditions = {"worker_cpus": worker_cpus, "other_cpus": other_cpus}
    said = remarks(make_record(environment=environment, conditions=conditions))
    assert bool(said) is crowded
