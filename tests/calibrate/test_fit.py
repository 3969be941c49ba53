"""The calibration: planted coefficients come back, what is not identified stays, bad data is
told."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.comparison import compare
from oomph.calibrate.fit import fit, fit_models, records_of
from oomph.calibrate.least_squares import solve
from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.parameters import Parameters
from oomph.calibrate.store import calibration_json
from oomph.config import RunConfig
from oomph.errors import FitError
from oomph.estimate.coefficients import (
    Coefficients,
    default_coefficients,
    definitions,
    read_coefficients,
)
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import context_bytes
from oomph.estimate.speed import decode_seconds, prefill_seconds, speed_question
from oomph.gpus import GpuSpec, gpu
from oomph.records.schema import (
    Conditions,
    Environment,
    MemorySeries,
    ModelIdentity,
    Outcome,
    Record,
    Reported,
    Timing,
)

OLMOE = catalogue_model("olmoe-1b-7b", "Q4_K_M")
LLAMA = catalogue_model("llama-3.2-1b", "Q8_0")
CARD = gpu("RTX 4090")
SHIPPED = default_coefficients()
HOST = {
    "host.bandwidth_bytes_per_s": 2e10,
    "host.flops_per_s": 9e10,
    "host.node_s": 2e-5,
    "host.kv_bandwidth_share": 0.25,
    "host.attention_flops_share": 0.15,
    "memory.host_base_bytes": 6e7,
}
Speeds = Callable[[RunConfig, str, int, float], float]


def planted(**values: float) -> Coefficients:
    return dataclasses.replace(SHIPPED, values={**SHIPPED.values, **values})


def record(
    spec: ModelSpec,
    config: RunConfig,
    truth: Coefficients,
    card: GpuSpec | None,
    *,
    number: int = 0,
    noise: float = 0.0,
    outcome: str = "ok",
    depths: Sequence[int] = (0, 4096),
) -> Record:
    """What a sweep would have recorded on a machine with these coefficients."""
    rng = np.random.default_rng(number)
    values = truth.for_card(card.name) if card else truth.values
    question = speed_question(spec, card, config)
    timings = []
    for depth in depths:
        for test, n in (("pp512", 512), ("pp64", 64), ("tg32", 32)):
            seconds = (
                prefill_seconds(question, values, n_prompt=n, n_depth=depth)
                if test[0] == "p"
                else n * decode_seconds(question, values, n_depth=depth + n / 2)
            )
            samples = [
                round(seconds * 1e9 * math.exp(noise * rng.normal()))
                for _ in range(1 if noise else 3)
            ]
            timings.append(Timing(test=test, n_tokens=n, n_depth=depth, samples_ns=samples))
    memory = Estimator(spec, card, coefficients=truth).predict(config).memory
    series = [
        MemorySeries(probe="nvml", quantity="vram", device=name, peak_bytes=device.total_bytes)
        for name, device in memory.devices.items()
        if name.startswith("CUDA") and name != "CUDA_Host"
    ]
    return Record(
        record_id=f"r{number}",
        point_id=f"p{number}",
        sweep="s",
        label=f"point {number}",
        started_at="2026-11-22T12:00:00+00:00",
        wall_ns=1,
        config=config.to_dict(),
        timings=timings,
        memory=series if card else [],
        reported=Reported(),
        outcome=Outcome(label=outcome),
        model=ModelIdentity(
            name=spec.name, path="x", arch=spec.arch, file_bytes=0, header_sha256=spec.name
        ),
        environment=Environment(
            machine="m",
            os="Linux",
            python="3.11",
            cpu="cpu",
            cpu_count=2,
            memory_bytes=1 << 34,
            backend="cuda" if card else "cpu",
        ),
    )


def host_records(noise: float = 0.0) -> list[Record]:
    truth = planted(**HOST)
    configs = [RunConfig(n_ctx=8192, n_devices=0, n_expert_used=used) for used in (1, 2, 4, 8)]
    return [
        record(OLMOE, c, truth, None, number=i, noise=noise, depths=(0, 7000))
        for i, c in enumerate(configs)
    ]


def test_a_hosts_planted_coefficients_come_back() -> None:
    result = fit(Estimator(OLMOE), host_records())
    found = {fitted.name: fitted for fitted in result.fitted if fitted.is_identified}
    for name in ("host.flops_per_s", "host.bandwidth_bytes_per_s", "host.kv_bandwidth_share"):
        assert found[name].value == pytest.approx(HOST[name], rel=0.15), name
    rates = [
        line
        for line in compare(result.estimator, host_records())
        if line.quantity.endswith("per_s")
    ]
    assert len(rates) == 24
    assert max(abs(line.predicted / line.measured - 1) for line in rates) < 0.05


def test_half_of_the_points_predict_the_other_half() -> None:
    records = host_records(noise=0.03)
    result = fit(Estimator(OLMOE), records[::2])
    lines = [
        line for line in compare(result.estimator, records[1::2]) if line.quantity.endswith("per_s")
    ]
    assert np.median([abs(line.predicted / line.measured - 1) for line in lines]) < 0.06
    held = [
        line.lower <= line.measured <= line.upper
        for line in lines
        if line.lower is not None and line.upper is not None
    ]
    assert held
    assert np.mean(held) > 0.7


def test_a_cards_own_effects_come_back_and_only_under_its_name() -> None:
    own = {
        "card.bandwidth_factor": 0.9,
        "card.compute_factor": 1.2,
        "memory.own_context_factor": 1.4,
    }
    truth = dataclasses.replace(SHIPPED, cards={**SHIPPED.cards, CARD.name: own})
    parts = []
    for n, spec in enumerate((LLAMA, OLMOE)):
        configs = [RunConfig(n_ctx=8192, flash_attn="on", n_ubatch=ub) for ub in (512, 1024)]
        parts.append(
            (
                Estimator(spec, CARD),
                [record(spec, c, truth, CARD, number=10 * n + i) for i, c in enumerate(configs)],
            )
        )
    result = fit_models(parts)
    effects = result.coefficients.cards[CARD.name]
    assert effects["card.compute_factor"] == pytest.approx(1.2, rel=0.05)
    assert effects["card.bandwidth_factor"] == pytest.approx(0.9, rel=0.05)
    assert context_bytes(CARD, result.coefficients) == pytest.approx(
        context_bytes(CARD, truth), rel=0.05
    )
    assert result.coefficients.values["matvec.bandwidth_share"] == SHIPPED["matvec.bandwidth_share"]
    other = gpu("RTX 3090")
    assert result.coefficients.for_card(other.name) == SHIPPED.for_card(other.name)


def test_standard_errors_cover_planted_values_as_often_as_they_say() -> None:
    """500 machines drawn from the priors, 8 noisy rates of each: 90 % bands hold 90 % of the
    planted values."""
    names = ("host.bandwidth_bytes_per_s", "host.flops_per_s", "host.kv_bandwidth_share")
    parameters = Parameters(dict(SHIPPED.values), names)
    sd, noise = np.array([definitions()[name].sd for name in names]) / 4, 0.05
    questions = [
        speed_question(OLMOE, None, RunConfig(n_ctx=8192, n_devices=0, n_expert_used=used))
        for used in (2, 8)
    ]
    plain = [
        SpeedObservation(question=q, test=test, n_prompt=256, n_depth=depth, tokens_per_s=1.0)  # type: ignore[arg-type]
        for q in questions
        for test in ("prefill", "decode")
        for depth in (0, 7000)
    ]
    rng = np.random.default_rng(7)
    inside = np.zeros(3)
    for _ in range(500):
        truth = parameters.start() + sd * rng.normal(size=3)
        values = parameters.values(truth)
        rows = [
            dataclasses.replace(
                o, tokens_per_s=math.exp(noise * rng.normal()) / o.seconds_per_token(values)
            )
            for o in plain
        ]
        solution = solve(
            lambda x, rows=rows: parameters.evaluate(rows, x),
            parameters.start(),
            prior_sd=sd,
            noise_sd=noise,
        )
        inside += np.abs(solution.parameters - truth) <= 1.645 * solution.standard_errors
    assert inside / 500 == pytest.approx([0.9, 0.9, 0.9], abs=0.04)


def test_one_context_and_no_depth_leave_the_cache_near_its_prior() -> None:
    truth = planted(**HOST)
    shallow = record(OLMOE, RunConfig(n_devices=0), truth, None, depths=(0,))
    result = fit(Estimator(OLMOE), [shallow])
    (cache,) = [each for each in result.fitted if each.name == "host.kv_bandwidth_share"]
    assert not cache.is_identified
    assert cache.moved < 0.1
    assert cache.value == pytest.approx(SHIPPED["host.kv_bandwidth_share"], rel=0.1)
    assert cache.relative_error > 0.5
    assert any("two depths" in sentence for sentence in result.advice)


def test_what_is_uncertain_alone_is_fitted_and_certain_together() -> None:
    """A token's and its nodes' time cannot be told apart by one model; far from the priors, rates
    still agree."""
    truth = planted(
        **HOST | {"host.node_s": 3e-7, "host.token_s": 2e-3, "host.bandwidth_bytes_per_s": 9e10}
    )
    configs = [RunConfig(n_ctx=8192, n_devices=0, n_expert_used=used) for used in (1, 2, 4, 8)]
    records = [
        record(OLMOE, c, truth, None, number=i, noise=0.01, depths=(0, 7000))
        for i, c in enumerate(configs)
    ]
    result = fit(Estimator(OLMOE), records)
    assert result.known_together
    assert result.health.in_sample["decode"].median is not None
    assert result.health.in_sample["decode"].median < 0.02
    assert result.health.is_healthy


def test_what_was_disturbed_takes_no_part_and_is_counted() -> None:
    records = host_records(noise=0.02)
    clean = fit(Estimator(OLMOE), records)
    slow = [
        timing.model_copy(update={"samples_ns": [5 * ns for ns in timing.samples_ns]})
        for timing in records[1].timings
    ]
    crowded = records[1].model_copy(
        update={
            "timings": slow,
            "conditions": Conditions(other_cpus=1.2),
            "record_id": "crowded",
            "point_id": "p9",
        }
    )
    result = fit(Estimator(OLMOE), [*records, crowded])
    assert result.health.n_disturbed == 1
    assert result.n_records == 5
    assert result.coefficients.values == pytest.approx(dict(clean.coefficients.values))
    assert result.health.in_sample == clean.health.in_sample
    assert any("6 disturbed rates of 1 record took no part" in note for note in result.health.notes)
    flagged = [
        line for line in compare(result.estimator, [crowded]) if line.quantity.endswith("per_s")
    ]
    assert all(line.is_disturbed for line in flagged)


def test_a_single_disturbed_sample_is_passed_over_where_another_was_quiet() -> None:
    (one,) = [record(OLMOE, RunConfig(n_devices=0), planted(**HOST), None)]
    timings = [
        timing.model_copy(
            update={
                "samples_ns": [timing.samples_ns[0], 9 * timing.samples_ns[0]],
                "disturbed": [1],
            }
        )
        for timing in one.timings
    ]
    noted = one.model_copy(update={"timings": timings, "conditions": Conditions(other_cpus=1.2)})
    lines = [line for line in compare(Estimator(OLMOE), [noted]) if line.quantity.endswith("per_s")]
    plain = [line for line in compare(Estimator(OLMOE), [one]) if line.quantity.endswith("per_s")]
    assert [line.measured for line in lines] == [line.measured for line in plain]
    assert not any(line.is_disturbed for line in lines)


def test_an_outlier_that_nobody_flagged_hardly_moves_the_fit() -> None:
    records = host_records(noise=0.02)
    clean = fit(Estimator(OLMOE), records)
    hit = (
        records[2]
        .timings[2]
        .model_copy(update={"samples_ns": [8 * records[2].timings[2].samples_ns[0]]})
    )
    timings = [*records[2].timings[:2], hit, *records[2].timings[3:]]
    result = fit(
        Estimator(OLMOE),
        [*records[:2], records[2].model_copy(update={"timings": timings}), records[3]],
    )
    for name in ("host.flops_per_s", "host.attention_flops_share"):
        assert result.coefficients[name] == pytest.approx(clean.coefficients[name], rel=0.05)
    assert result.health.held_out["decode"].worst is not None
    assert result.health.held_out["decode"].worst > 2


def test_a_formula_that_does_not_describe_the_machine_fails_its_health() -> None:
    """Decode that slows by n_expert_used squared, beyond any coefficient: the fit is not
    believed."""
    records = []
    for number, used in enumerate((1, 2, 3, 4, 5, 6, 7, 8)):
        plain = record(
            OLMOE,
            RunConfig(n_ctx=8192, n_devices=0, n_expert_used=used),
            planted(**HOST),
            None,
            number=number,
        )
        timings = [
            t.model_copy(
                update={"samples_ns": [round(ns * (1 + used**2 / 8)) for ns in t.samples_ns]}
            )
            if t.test == "tg32"
            else t
            for t in plain.timings
        ]
        records.append(plain.model_copy(update={"timings": timings}))
    health = fit(Estimator(OLMOE), records).health
    assert not health.is_healthy
    assert any("decode" in failure for failure in health.failures)


def test_records_of_two_machines_or_builds_are_refused_by_name() -> None:
    records = host_records()
    elsewhere = records[1].environment.model_copy(update={"machine": "other"})
    with pytest.raises(
        FitError, match=r"2 machines: m \(3 records\), other \(1 record\).*--machine"
    ):
        fit(
            Estimator(OLMOE),
            [records[0], records[1].model_copy(update={"environment": elsewhere}), *records[2:]],
        )
    newer = records[1].environment.model_copy(update={"llama_cpp_commit": "abc"})
    mixed = [records[0], records[1].model_copy(update={"environment": newer})]
    with pytest.raises(FitError, match=r"2 llama.cpp builds: .*abc"):
        fit(Estimator(OLMOE), mixed)
    assert records_of(mixed, machine=None, build="ab") == mixed[1:]
    with pytest.raises(FitError, match=r"there are m with llama\.cpp abc"):
        records_of(mixed, machine="nobody", build=None)


@pytest.mark.parametrize(("samples", "words"), [([0, 5], "a sample of 0 ns"), ([], "no sample")])
def test_a_record_without_a_true_sample_is_named_and_left_out(
    samples: list[int], words: str
) -> None:
    records = host_records()
    bad = records[0].timings[0].model_copy(update={"samples_ns": samples})
    result = fit(Estimator(OLMOE), [records[0].model_copy(update={"timings": [bad]}), *records[1:]])
    assert result.n_records == 3
    assert any(
        "record r0 (point 0) is left out" in note and words in note for note in result.health.notes
    )


def test_records_that_all_failed_cannot_be_fitted() -> None:
    failed = record(OLMOE, RunConfig(n_devices=0), SHIPPED, None, outcome="oom_kv")
    with pytest.raises(FitError, match=r"oom_kv.*measure a configuration that fits"):
        fit(Estimator(OLMOE), [failed])


def test_no_record_and_one_measurement_are_told_apart() -> None:
    with pytest.raises(FitError, match="run a sweep first"):
        fit(Estimator(OLMOE), [])
    single = record(OLMOE, RunConfig(n_devices=0), SHIPPED, None)
    with pytest.raises(FitError, match="1 measurement cannot identify"):
        fit(Estimator(OLMOE), [single.model_copy(update={"timings": single.timings[:1]})])


def test_another_models_records_are_not_compared() -> None:
    assert compare(Estimator(LLAMA), host_records()) == []


def test_a_calibration_survives_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    records = host_records()
    result = fit(Estimator(OLMOE), records)
    path = tmp_path / "calibration.json"
    path.write_text(calibration_json(result, records), encoding="utf-8")
    loaded = read_coefficients(path)
    assert loaded.values == pytest.approx(dict(result.coefficients.values))
    assert loaded.calibrated_on["machines"] == ["m"]
    assert loaded.calibrated_on["n_records"] == 4
    config = RunConfig(n_ctx=8192, n_devices=0)
    again = Estimator(OLMOE, coefficients=loaded).predict(config).speed
    assert again == result.estimator.predict(config).speed
