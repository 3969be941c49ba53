"""Comparisons: each measured quantity beside its prediction, in one unit, and nothing that was not
measured."""

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate.comparison import (
    Comparison,
    compare,
    measured_host_bytes,
    record_config,
    speed_observations,
)
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import resident_bytes
from oomph.gpus import gpu
from oomph.records.schema import (
    Buffers,
    Environment,
    MemorySeries,
    ModelIdentity,
    Outcome,
    Record,
    Reported,
    Timing,
)
from oomph.units import MIB

SPEC = catalogue_model("llama-3.2-1b", "Q8_0")
CARD = gpu("RTX 4090")
ESTIMATOR = Estimator(SPEC, CARD)
CONFIG = RunConfig(n_ctx=8192, flash_attn="on")
PREDICTED = ESTIMATOR.predict(CONFIG)


def record(**changes: object) -> Record:
    """A record of CONFIG on CARD that holds nothing measured but what `changes` say."""
    environment = Environment(
        machine="m",
        os="Linux",
        python="3.11",
        cpu="cpu",
        cpu_count=2,
        memory_bytes=1 << 34,
        backend="cuda",
    )
    fields: dict[str, object] = {
        "record_id": "r",
        "point_id": "p",
        "sweep": "s",
        "label": "a point",
        "wall_ns": 1,
        "timings": [],
        "started_at": "2026-11-22T12:00:00+00:00",
        "config": CONFIG.to_dict(),
        "reported": Reported(),
        "memory": [],
        "outcome": Outcome(label="ok"),
        "environment": environment,
        "model": ModelIdentity(
            name=SPEC.name, path="x", arch=SPEC.arch, file_bytes=0, header_sha256="h"
        ),
    }
    return Record(**fields | changes)  # type: ignore[arg-type]


def only(lines: list[Comparison]) -> Comparison:
    (line,) = lines
    return line


def test_what_was_not_measured_is_not_compared() -> None:
    assert compare(ESTIMATOR, [record()]) == []


def test_buffers_are_compared_as_printed_device_by_device() -> None:
    buffers = Buffers(model_mib={"CUDA0": [1000.0, 50.0]}, kv_cache_mib={"CUDA0": [256.0]})
    lines = {line.quantity: line for line in compare(ESTIMATOR, [record(buffers=buffers)])}
    assert set(lines) == {"weights_bytes", "kv_cache_bytes"}
    assert lines["weights_bytes"].measured == 1050 * MIB
    assert lines["kv_cache_bytes"].predicted == lines["kv_cache_bytes"].measured == 256 * MIB
    assert {line.device for line in lines.values()} == {"CUDA0"}
    assert {line.lower for line in lines.values()} == {None}


def test_of_a_compute_buffer_reserved_again_the_largest_counts() -> None:
    line = only(
        compare(ESTIMATOR, [record(buffers=Buffers(compute_mib={"CUDA0": [100.0, 300.0]}))])
    )
    assert (line.quantity, line.measured) == ("compute_bytes", 300 * MIB)


def test_buffers_of_a_host_buffer_type_that_has_no_name_of_its_own_are_the_cpus() -> None:
    line = only(compare(ESTIMATOR, [record(buffers=Buffers(model_mib={"CPU_Mapped": [266.0]}))]))
    assert (line.device, line.measured) == ("CPU", 266 * MIB)
    assert line.predicted == PREDICTED.memory.devices["CPU"].weights_bytes


def test_all_cards_as_one_are_the_largest_slice_and_teach_no_speed() -> None:
    cut = CONFIG.with_(split_mode="tensor", n_devices=2, tensor_split=(3, 1))
    timed = [Timing(test="tg32", n_tokens=32, n_depth=0, samples_ns=[10**9])]
    measured = record(
        config=cut.to_dict(), timings=timed, buffers=Buffers(model_mib={"Meta()": [900.0]})
    )
    line = only(compare(ESTIMATOR, [measured]))
    assert line.predicted == ESTIMATOR.memory(cut).devices["CUDA0"].weights_bytes
    assert (line.device, line.measured) == ("Meta()", 900 * MIB)


def test_memory_is_compared_as_the_probes_saw_it() -> None:
    seen = [
        MemorySeries(probe="nvml", quantity="vram", device="CUDA0", peak_bytes=3 * 10**9),
        MemorySeries(probe="proc", quantity="rss", device="host", peak_bytes=10**9),
    ]
    lines = {line.quantity: line for line in compare(ESTIMATOR, [record(memory=seen)])}
    assert lines["total_vram_bytes"].predicted == PREDICTED.memory.total_vram_bytes
    assert lines["total_vram_bytes"].measured == 3 * 10**9
    assert lines["host_bytes"].predicted == resident_bytes(PREDICTED.memory, default_coefficients())
    assert lines["host_bytes"].measured == 10**9


@pytest.mark.parametrize(
    ("index", "device", "counted"),
    [(0, "CUDA0", 520), (1, "CUDA0", 18_033), (0, "CPU", 18_033)],
)
def test_the_file_that_a_load_maps_is_no_memory_that_is_kept(
    index: int, device: str, counted: int
) -> None:
    """On an H200 a load's record peaked at 18,033 MiB and ended at 520: the rest was unmapped."""
    seen = MemorySeries(
        probe="host",
        quantity="rss",
        device="host",
        peak_bytes=18_033 * MIB,
        last_bytes=520 * MIB,
    )
    loaded = record(
        memory=[seen],
        buffers=Buffers(model_mib={device: [17_524.0]}),
        conditions={"context_index": index},
    )
    assert measured_host_bytes(loaded) == counted * MIB


def test_rates_are_the_median_of_the_raw_samples_within_their_interval() -> None:
    samples = [4 * 10**9, 2 * 10**9, 9 * 10**9]
    line = only(
        compare(
            ESTIMATOR,
            [record(timings=[Timing(test="tg32", n_tokens=32, n_depth=0, samples_ns=samples)])],
        )
    )
    assert (line.quantity, line.device) == ("decode_tokens_per_s", CARD.name)
    assert line.measured == pytest.approx(8.0)
    assert line.lower is not None
    assert line.upper is not None
    assert line.lower < line.predicted < line.upper


def test_decode_is_at_the_depth_halfway_and_prefill_at_its_start() -> None:
    timings = [
        Timing(test=test, n_tokens=64, n_depth=4096, samples_ns=[10**8])
        for test in ("pp64", "tg64")
    ]
    depths = {line.quantity: line.n_depth for line in compare(ESTIMATOR, [record(timings=timings)])}
    assert depths == {"prefill_tokens_per_s": 4096, "decode_tokens_per_s": 4128}


def test_only_what_ended_well_and_is_of_the_model_is_compared() -> None:
    buffers = Buffers(kv_cache_mib={"CUDA0": [256.0]})
    failed = record(buffers=buffers, outcome=Outcome(label="oom_kv"))
    other = record(
        buffers=buffers,
        model=ModelIdentity(name="x", path="x", arch="qwen3", file_bytes=0, header_sha256="h"),
    )
    kept = record(buffers=buffers, record_id="kept")
    assert [line.record_id for line in compare(ESTIMATOR, [failed, other, kept])] == ["kept"]


def test_flash_attention_is_as_llama_cpp_resolved_it() -> None:
    automatic = RunConfig(flash_attn="auto").to_dict()
    assert (
        record_config(record(config=automatic, reported=Reported(flash_attn="disabled"))).flash_attn
        == "off"
    )
    assert (
        record_config(record(config=automatic, reported=Reported(flash_attn="enabled"))).flash_attn
        == "on"
    )
    assert record_config(record(config=automatic)).flash_attn == "auto"


def test_sequences_of_an_older_record_have_their_places() -> None:
    config = {key: value for key, value in CONFIG.to_dict().items() if key != "n_seq_max"}
    timing = Timing(test="tg32", n_tokens=32, n_parallel=4, samples_ns=[10**9])
    asked = record_config(record(config=config | {"n_parallel": 4}, outcome=Outcome(label="crash")))
    assert (asked.n_parallel, asked.n_seq_max) == (4, 4)
    (told,) = speed_observations(ESTIMATOR, record(config=config, timings=[timing]))
    assert (told.question.config.n_parallel, told.question.config.n_seq_max) == (4, 4)
