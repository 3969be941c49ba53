"""The verdict: what was predicted before beside what was measured, over folders made up to be
known."""

from pathlib import Path
from typing import Any

import pytest

from oomph.analysis.first_card.expectations import Foreseen
from oomph.analysis.first_card.predictions import (
    FILE,
    did_work,
    read_predictions,
    unmeasured,
    write_predictions,
)
from oomph.analysis.first_card.verdict import DayVerdict, verdict
from oomph.calibrate.comparison import record_config
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.measure.first_card.models import ProtocolModels
from oomph.measure.first_card.protocol import Protocol
from oomph.measure.first_card.visit import ballast_folder
from oomph.records.environment import read_environment
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.units import MIB
from oomph.views.first_card import (
    errors_table,
    evidence,
    first_chapter,
    rates_table,
    stages_table,
    views_table,
)

CARD = gpu("RTX 4090")
FORESEEN = Foreseen(CARD, "cuda")
HERE = read_environment(
    backend="cuda", gpus=[{"name": CARD.name, "usable_bytes": CARD.memory_bytes}]
)
MODELS = ProtocolModels("small", computes=False)
PROTOCOL = Protocol.read("small")


def estimator_of(record: Record) -> Estimator:
    by_path = {MODELS.resolve(name)[0].identity.path: name for name in PROTOCOL.models.values()}
    return FORESEEN.estimator(MODELS.resolve(by_path[record.model.path])[0].spec)


def measured(
    folder: Path, *, factor: float, extra_bytes: int, conditions: dict[str, Any] | None = None
) -> None:
    """The protocol's points as if they were measured: rates are `factor` times the predicted,
    memory is larger."""
    write_predictions(PROTOCOL.step, PROTOCOL, MODELS, FORESEEN, HERE, folder)
    prior = read_predictions(folder)
    with Store(folder) as store:
        for step in PROTOCOL.step:
            subject, _ = MODELS.resolve(PROTOCOL.models[step.model])
            for number, point in enumerate(step.points(n_devices=1)):
                blank = unmeasured(point, subject, HERE)
                if not did_work(blank):
                    continue
                total = round(prior[blank.point_id, "total_vram_bytes", "CUDA0", None].predicted)
                timings = []
                for timing in blank.timings:
                    is_prompt = timing.test.startswith("pp")
                    quantity = "prefill_tokens_per_s" if is_prompt else "decode_tokens_per_s"
                    depth = (
                        timing.n_depth if is_prompt else int(timing.n_depth + timing.n_tokens / 2)
                    )
                    rate = factor * prior[blank.point_id, quantity, CARD.name, depth].predicted
                    samples = [round(timing.n_tokens / rate * 1e9)] * 3
                    timings.append({**timing.model_dump(), "samples_ns": samples, "energy_j": 3.0})
                vram = {
                    "probe": "nvml",
                    "quantity": "vram",
                    "device": "CUDA0",
                    "peak_bytes": total + extra_bytes,
                }
                cards = {
                    "CUDA0": {
                        "idle_bytes": 5,
                        "most_used_bytes": total + 7,
                        "vram_method": "per_process",
                    }
                }
                free = {"CUDA0": CARD.memory_bytes - total - 5}
                changes = {
                    "record_id": f"{step.name}-{number}",
                    "timings": timings,
                    "memory": [vram],
                    "buffers": {
                        "model_mib": {"CUDA0": [8.0], "CPU": [3.0]},
                        "compute_mib": {"CUDA0": [1.0, 2.0]},
                    },
                    "conditions": {"cards": cards, "free_after_run_bytes": free}
                    | (conditions or {}),
                }
                store.append(Record.model_validate(blank.model_dump() | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("day")
    measured(path, factor=1.25, extra_bytes=100 * MIB)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> DayVerdict:
    return verdict(folder, PROTOCOL, estimator_of)


def test_the_errors_are_those_that_were_made(found: DayVerdict) -> None:
    judged = {each.quantity: each for each in found.errors}
    memory, decode = judged["total_vram_bytes"].before, judged["decode_tokens_per_s"].before
    assert memory is not None
    assert decode is not None
    assert (memory.median, memory.worst, memory.bias) == (100 * MIB, 100 * MIB, -100 * MIB)
    assert decode.bias == pytest.approx(-0.2)  # 1 / 1.25 - 1
    assert decode.coverage is not None
    assert decode.n == len([row for row in rates_table(found).rows if row[2].text == "decode"])


def test_a_calibration_on_other_points_takes_most_of_it_away(found: DayVerdict) -> None:
    assert found.fit is not None
    for judged in found.errors:
        if judged.quantity in ("total_vram_bytes", "decode_tokens_per_s", "prefill_tokens_per_s"):
            assert judged.before is not None
            assert judged.calibrated is not None
            assert judged.calibrated.n == judged.before.n
            assert judged.calibrated.median < judged.before.median / 3, judged.quantity


def test_what_was_disturbed_is_shown_and_counts_in_no_error(tmp_path: Path) -> None:
    measured(tmp_path, factor=1.25, extra_bytes=0, conditions={"throttle_reasons": ["power_cap"]})
    disturbed = verdict(tmp_path, PROTOCOL, estimator_of)
    decode = next(each for each in disturbed.errors if each.quantity == "decode_tokens_per_s")
    assert decode.before is None
    assert decode.n_disturbed > 0
    assert any(row[-2].text.endswith(", disturbed") for row in rates_table(disturbed).rows)


def test_each_account_is_of_the_worker_alone(found: DayVerdict) -> None:
    for views in found.views:
        predicted = estimator_of(views.record).predict(record_config(views.record))
        total = predicted.memory.devices["CUDA0"].total_bytes
        assert views.nvml_process == total + 100 * MIB
        assert views.nvml_device == total + 2
        assert views.cuda == total
        assert views.buffers == 10 * MIB
    assert len(views_table(found).rows) == len(found.views) == len(found.records)


def test_stages_and_frontiers_are_read_from_what_ran_beside_a_ballast(tmp_path: Path) -> None:
    step = next(step for step in PROTOCOL.step if step.frontier)
    subject, _ = MODELS.resolve(PROTOCOL.models[step.model])
    foreseen, phantom = Foreseen(CARD, "phantom"), HERE.model_copy(update={"backend": "phantom"})
    write_predictions(PROTOCOL.step, PROTOCOL, MODELS, foreseen, phantom, tmp_path)
    blank = unmeasured(PROTOCOL.step[0].points(n_devices=1)[0], subject, phantom).model_dump()
    with Store(tmp_path / ballast_folder(step)) as store:
        for number, provoked in enumerate(foreseen.provoked(step, subject)):
            outcome = {"label": provoked.stage, "evidence": ["cudaMalloc failed: out of memory"]}
            changes = {
                "record_id": f"p{number}",
                "config": provoked.config.to_dict(),
                "outcome": outcome,
            }
            store.append(Record.model_validate(blank | changes))
        for n_ctx, label in ((1024, "ok"), (1280, "ok"), (1536, "oom_kv"), (2048, "oom_kv")):
            config = step.configs("frontier")[0].with_(n_ctx=n_ctx).to_dict()
            changes = {
                "record_id": f"f{n_ctx}",
                "sweep": "frontier",
                "config": config,
                "outcome": {"label": label},
            }
            store.append(Record.model_validate(blank | changes))
    again = verdict(tmp_path, PROTOCOL, estimator_of)
    assert [seen.predicted == seen.seen for seen in again.stages] == [True] * len(again.stages)
    assert len(again.stages) >= 2
    assert stages_table(again).rows[0][-1].text == "cudaMalloc failed: out of memory"
    (frontier,) = again.frontiers
    assert (frontier.measured, frontier.failed_n_ctx, frontier.failed, frontier.n_probes) == (
        1280,
        1536,
        "oom_kv",
        4,
    )


def test_the_chapter_says_when_the_predictions_were_touched(tmp_path: Path) -> None:
    measured(tmp_path, factor=1.0, extra_bytes=0)
    whole = verdict(tmp_path, PROTOCOL, estimator_of)
    assert "their hash in the journal" in first_chapter(whole, "t").basis[0]
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"predicted": ', '"predicted": 2', 1))
    touched = verdict(tmp_path, PROTOCOL, estimator_of)
    assert not touched.is_sealed
    assert "say nothing of foresight" in first_chapter(touched, "t").basis[0]
    assert any("say nothing of foresight" in sentence for sentence in evidence(touched))


def test_an_empty_folder_has_an_empty_verdict(tmp_path: Path) -> None:
    empty = verdict(tmp_path, PROTOCOL, estimator_of)
    assert (empty.records, empty.errors, empty.facts, empty.fit) == ([], [], None, None)
    assert errors_table(empty).rows == ()
