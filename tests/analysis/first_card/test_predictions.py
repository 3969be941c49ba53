"""Predictions before a card is seen: on disk first, sealed, and keyed as the comparison is."""

from pathlib import Path

import pytest

from oomph.analysis.first_card.expectations import Foreseen
from oomph.analysis.first_card.predictions import (
    FILE,
    held_against,
    is_sealed,
    read_frontiers,
    read_outcomes,
    read_predictions,
    unmeasured,
    write_predictions,
)
from oomph.calibrate.comparison import compare
from oomph.gpus import gpu
from oomph.measure.first_card.models import ProtocolModels
from oomph.measure.first_card.protocol import Protocol
from oomph.records.environment import read_environment
from oomph.records.schema import Environment, Record
from oomph.units import MIB

CARD = gpu("RTX 4090")


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return Protocol.read("small")


@pytest.fixture(scope="module")
def models() -> ProtocolModels:
    return ProtocolModels("small", computes=False)


def environment(backend: str = "cuda") -> Environment:
    cards = [] if backend == "cpu" else [{"name": CARD.name, "usable_bytes": CARD.memory_bytes}]
    return read_environment(backend=backend, gpus=cards)


def written(
    folder: Path, protocol: Protocol, models: ProtocolModels, *, backend: str = "cuda"
) -> int:
    foreseen = Foreseen(None if backend == "cpu" else CARD, backend)
    return write_predictions(
        protocol.step, protocol, models, foreseen, environment(backend), folder
    )


def test_every_quantity_of_every_point_is_predicted_once(
    tmp_path: Path, protocol: Protocol, models: ProtocolModels
) -> None:
    assert written(tmp_path, protocol, models) > 0
    found = read_predictions(tmp_path)
    quantities = {quantity for _, quantity, _, _ in found}
    assert {
        "total_vram_bytes",
        "prefill_tokens_per_s",
        "decode_tokens_per_s",
        "compute_bytes",
    } <= quantities
    assert all(each.predicted > 0 for each in found.values())
    assert written(tmp_path, protocol, models) == 0  # nothing is predicted a second time
    assert is_sealed(tmp_path)


def test_a_later_change_shows(tmp_path: Path, protocol: Protocol, models: ProtocolModels) -> None:
    assert not is_sealed(tmp_path)
    written(tmp_path, protocol, models)
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"predicted": ', '"predicted": 1', 1))
    assert not is_sealed(tmp_path)


def test_what_was_predicted_is_what_the_comparison_would_say(
    tmp_path: Path, protocol: Protocol, models: ProtocolModels
) -> None:
    written(tmp_path, protocol, models)
    prior = read_predictions(tmp_path)
    step = protocol.step[0]
    subject, _ = models.resolve(protocol.models[step.model])
    point = step.points(n_devices=1)[-1]
    blank = unmeasured(point, subject, environment())
    record = Record.model_validate(
        blank.model_dump()
        | {
            "record_id": "r",
            "timings": [
                {**t.model_dump(), "samples_ns": [10**6, 2 * 10**6, 10**6]} for t in blank.timings
            ],
            "memory": [
                {"probe": "nvml", "quantity": "vram", "device": "CUDA0", "peak_bytes": 700 * MIB}
            ],
        }
    )
    lines = held_against(
        prior, compare(Foreseen(CARD, "cuda").estimator(subject.spec), [record]), [record]
    )
    own = {
        (line.quantity, line.n_depth): line.predicted
        for line in compare(Foreseen(CARD, "cuda").estimator(subject.spec), [record])
    }
    assert {(line.quantity, line.n_depth): line.predicted for line in lines} == own
    assert {line.measured for line in lines if line.quantity == "total_vram_bytes"} == {700 * MIB}


def test_of_a_processor_no_rate_is_predicted(
    tmp_path: Path, protocol: Protocol, models: ProtocolModels
) -> None:
    written(tmp_path, protocol, models, backend="cpu")
    quantities = {quantity for _, quantity, _, _ in read_predictions(tmp_path)}
    assert "host_bytes" in quantities
    assert not any(quantity.endswith("_per_s") for quantity in quantities)


def test_frontiers_and_every_stage_of_running_out_are_predicted(
    tmp_path: Path, protocol: Protocol, models: ProtocolModels
) -> None:
    written(tmp_path, protocol, models, backend="phantom")
    assert set(read_outcomes(tmp_path).values()) == {
        "oom_weights",
        "oom_kv",
        "oom_compute",
        "oom_runtime",
    }
    ((step, setting),) = read_frontiers(tmp_path)
    assert step == "a small card"
    assert "n_expert_used=10" in setting
    assert "n_ctx" not in setting


def test_what_is_larger_takes_longer(protocol: Protocol) -> None:
    full = Protocol.read("full")
    models = ProtocolModels("full", computes=True)
    foreseen = Foreseen(gpu("H100"), "cuda")
    step = full.step[1]
    subject, _ = models.resolve(full.models[step.model])
    ready, unwritten = (foreseen.seconds(step, subject, is_there=there) for there in (True, False))
    assert unwritten - ready == pytest.approx(13.25, rel=0.05)  # 18.5 GB at 1.4 GB/s
    # the same ladder, four points fewer
    assert foreseen.seconds(full.step[2], subject, is_there=True) < ready
