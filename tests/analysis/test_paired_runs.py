"""Pairs are made by knobs, intervals cover what they promise, and a worse result is called one."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.analysis.environment_changes import environment_changes
from oomph.analysis.paired_runs import (
    Difference,
    compare_runs,
    paired_differences,
    quantity_kind,
    ratio_interval,
)
from oomph.records.schema import Record
from oomph.units import MIB


def _record(
    *, n_ctx: int = 1024, decode_ns: tuple[int, ...] = (100, 101, 99), **changes: Any
) -> Record:
    fields: dict[str, Any] = {
        "record_id": f"r{n_ctx}",
        "point_id": f"p{n_ctx}",
        "sweep": "s",
        "label": f"n_ctx={n_ctx}",
        "started_at": "2026-01-01T00:00:00Z",
        "wall_ns": 1,
        "model": {
            "name": "m",
            "path": "m.gguf",
            "arch": "llama",
            "file_bytes": 1,
            "header_sha256": "h",
        },
        "config": {"n_ctx": n_ctx, "n_devices": 1},
        "environment": {
            "machine": "a",
            "os": "Linux",
            "python": "3.11",
            "cpu": "c",
            "cpu_count": 2,
            "memory_bytes": 1,
            "backend": "cuda",
            "driver": "570",
            "packages": {"llama-cpp-python": "0.3.36"},
        },
        "outcome": {"label": "ok"},
        "timings": [
            {"test": "tg32", "n_tokens": 32, "samples_ns": [ns * 10**6 for ns in decode_ns]}
        ],
        "memory": [
            {"probe": "nvml", "quantity": "vram", "device": "CUDA0", "peak_bytes": 1000 * MIB}
        ],
        "quality": {"text": "t", "n_tokens": 4, "nll_nats": [3.0, 2.0, 4.0, 3.0]},
    }
    return Record.model_validate(fields | changes)


def unpaired(before: list[Record], after: list[Record]) -> tuple[int, int]:
    found = compare_runs(before, after)
    return found.only_before, found.only_after


def _by_quantity(differences: list[Difference]) -> dict[str, Difference]:
    return {difference.quantity: difference for difference in differences}


def test_each_quantity_of_a_pair_is_compared_and_the_worst_stands_first() -> None:
    slower = _record(
        decode_ns=(200, 201, 199),
        quality={"text": "t", "n_tokens": 4, "nll_nats": [3.1, 2.1, 4.1, 3.1]},
        memory=[{"probe": "nvml", "quantity": "vram", "device": "CUDA0", "peak_bytes": 900 * MIB}],
    )
    differences = paired_differences([_record()], [slower])
    assert [d.quantity for d in differences] == [
        "tg32 tokens_per_s",
        "perplexity",
        "CUDA0 vram_peak_bytes",
    ]
    decode, quality, memory = differences
    assert decode.worse == pytest.approx(0.5)
    assert decode.is_regression(0.05)
    assert quality.ratio == pytest.approx(math.exp(0.1))
    assert (quality.low, quality.high) == (
        pytest.approx(math.exp(0.1)),
        pytest.approx(math.exp(0.1)),
    )
    assert memory.worse == pytest.approx(-0.1)
    assert not memory.is_regression(0.0)


def test_a_change_within_the_noise_is_no_regression() -> None:
    noisy = _by_quantity(
        paired_differences([_record(decode_ns=(80, 100, 120))], [_record(decode_ns=(90, 112, 140))])
    )
    decode = noisy["tg32 tokens_per_s"]
    assert decode.worse > 0.05
    assert not decode.is_certain
    assert not decode.is_regression(0.05)


def test_a_point_that_no_longer_runs_is_the_worst_of_all() -> None:
    failed = _record(outcome={"label": "oom_kv"}, timings=[], memory=[], quality=None)
    (lost,) = paired_differences([_record()], [failed])
    assert lost.words == "ok -> oom_kv"
    assert lost.is_regression(0.5)
    (won,) = paired_differences([failed], [_record()])
    assert not won.is_regression(0.0)
    assert paired_differences([failed], [failed]) == []


def test_points_pair_by_knobs_limits_and_workload() -> None:
    before = [_record(), _record(n_ctx=2048)]
    after = [_record(n_ctx=2048), _record(n_ctx=4096), _record(limits={"memory_bytes": 5})]
    assert {d.label for d in paired_differences(before, after)} == {"n_ctx=2048"}
    assert unpaired(before, after) == (1, 2)


def test_another_quantization_pairs_and_two_models_in_a_folder_do_not_mix() -> None:
    model = {
        "name": "m-q4",
        "path": "q.gguf",
        "arch": "llama",
        "file_bytes": 1,
        "header_sha256": "i",
    }
    assert paired_differences([_record()], [_record(model=model)])
    both = [_record(), _record(model=model)]
    assert len({d.label for d in paired_differences(both, both)}) == 1
    assert len(paired_differences(both, [_record()])) == 3


def test_what_changed_around_the_points_is_told() -> None:
    environment = _record().environment.model_copy(
        update={"driver": "580", "packages": {"llama-cpp-python": "0.3.40"}}
    )
    changes = environment_changes([_record()], [_record(environment=environment.model_dump())])
    assert changes == [("driver", "570", "580"), ("package llama-cpp-python", "0.3.36", "0.3.40")]
    assert environment_changes([_record()], [_record()]) == []


@given(
    st.lists(st.floats(1, 1000), min_size=2, max_size=6),
    st.lists(st.floats(1, 1000), min_size=2, max_size=6),
)
def test_an_interval_holds_the_ratio_of_the_geometric_means(
    before: list[float], after: list[float]
) -> None:
    low, high = ratio_interval(before, after)
    ratio = math.exp(
        sum(map(math.log, after)) / len(after) - sum(map(math.log, before)) / len(before)
    )
    assert low is not None
    assert high is not None
    assert low <= ratio * (1 + 1e-9)
    assert ratio <= high * (1 + 1e-9)


def test_an_interval_agrees_with_scipy_and_needs_two_samples() -> None:
    from scipy.stats import ttest_ind

    before, after = [10.0, 11.0, 10.5, 9.8], [12.0, 12.5, 11.7]
    low, high = ratio_interval(before, after)
    expected = ttest_ind(
        [math.log(x) for x in after], [math.log(x) for x in before], equal_var=False
    )
    interval = expected.confidence_interval(0.95)
    assert (low, high) == (
        pytest.approx(math.exp(interval.low)),
        pytest.approx(math.exp(interval.high)),
    )
    assert ratio_interval([1.0], [2.0, 3.0]) == (None, None)


def test_a_knob_that_changed_everywhere_is_the_change_and_pairs() -> None:
    def side(n_threads: int) -> list[Record]:
        return [
            _record(n_ctx=n_ctx, config={"n_ctx": n_ctx, "n_devices": 1, "n_threads": n_threads})
            for n_ctx in (512, 1024)
        ]

    before, after = side(8), side(4)
    assert unpaired(before, after) == (0, 0)
    assert len({d.label for d in paired_differences(before, after)}) == 2
    assert environment_changes(before, after) == [("knob n_threads", "8", "4")]
    assert unpaired([*before, *after], after) == (2, 0)  # here it is an axis
    assert environment_changes([*before, *after], after) == []


def test_memory_must_move_by_more_than_a_page_to_count() -> None:
    def peak(n_bytes: int) -> Record:
        return _record(
            memory=[{"probe": "host", "quantity": "rss", "device": "host", "peak_bytes": n_bytes}]
        )

    (same,) = [
        d
        for d in paired_differences([peak(10**9)], [peak(10**9 + 4096)])
        if d.quantity.endswith("bytes")
    ]
    assert not same.is_regression(0.0)
    (more,) = [
        d
        for d in paired_differences([peak(10**9)], [peak(11 * 10**8)])
        if d.quantity.endswith("bytes")
    ]
    assert more.is_regression(0.05)


def test_energy_is_compared_a_token_where_both_sides_have_it() -> None:
    def taking(energy_j: float | None) -> Record:
        return _record(
            timings=[
                {"test": "tg32", "n_tokens": 32, "samples_ns": [10**9] * 2, "energy_j": energy_j}
            ]
        )

    (energy,) = [
        d
        for d in paired_differences([taking(64.0)], [taking(128.0)])
        if d.quantity == "tg32 joules"
    ]
    assert (energy.before, energy.after) == (1.0, 2.0)
    assert energy.is_regression(0.5)
    assert not [
        d for d in paired_differences([taking(None)], [taking(1.0)]) if "joules" in d.quantity
    ]


def test_nothing_that_pairs_has_its_reason() -> None:
    old = [_record(n_ctx=1024), _record(n_ctx=2048)]
    new = [_record(n_ctx=4096), _record(n_ctx=8192)]
    found = compare_runs(old, new)
    assert found.why_nothing_paired == (
        "no point of one side has the n_ctx (1024, 2048 before, 4096, 8192 after) of the other; "
        "compare folders of one sweep"
    )
    assert compare_runs(old, old).why_nothing_paired is None


def test_records_pair_by_the_keys_that_both_sides_know() -> None:
    """A later version writes a knob and a key of the work that an earlier one had not."""
    old = [_record(workload={"n_prompt": 512})]
    new = [
        _record(
            config={"n_ctx": 1024, "n_devices": 1, "n_threads": 4},
            workload={"n_prompt": 512, "seed": 1},
        )
    ]
    assert unpaired(old, new) == (0, 0)


def test_how_often_and_under_which_heading_does_not_part_a_pair() -> None:
    """A later version's unset key within a table is no difference either."""
    old = [_record(workload={"n_prompt": 512, "group": "a", "text": {"n_tokens": 9, "file": None}})]
    new = [
        _record(
            workload={
                "n_prompt": 512,
                "group": "b",
                "repetitions": {"least": 9},
                "text": {"n_tokens": 9, "reference": None},
            }
        )
    ]
    assert (compare_runs(old, new).n_pairs, unpaired(old, new)) == (1, (0, 0))


def test_a_point_without_a_partner_names_the_nearest_and_what_parts_them() -> None:
    before = [_record(), _record(n_ctx=2048, workload={"depths": [0]})]
    after = [_record(), _record(n_ctx=2048, workload={"depths": [0, 512]})]
    found = compare_runs(before, after)
    assert [(each.side, each.label, each.nearest) for each in found.alone] == [
        ("before", "n_ctx=2048", "n_ctx=2048"),
        ("after", "n_ctx=2048", "n_ctx=2048"),
    ]
    assert found.alone[0].apart == (("depths", "[0]", "[0, 512]"),)


def test_points_measured_twice_pair_one_to_one() -> None:
    found = compare_runs([_record(), _record()], [_record(), _record(), _record()])
    assert (found.n_pairs, found.only_before, found.only_after) == (2, 0, 1)


def test_over_all_pairs_each_point_counts_once() -> None:
    """Student's t on the logarithms of the pairs' ratios, as scipy has it."""
    from scipy.stats import ttest_1samp

    before = [_record(n_ctx=n_ctx) for n_ctx in (512, 1024, 2048)]
    factors = (1.1, 1.2, 1.5)
    after = [
        _record(n_ctx=n_ctx, decode_ns=tuple(int(ns * factor * 100) for ns in (100, 101, 99)))
        for n_ctx, factor in zip((512, 1024, 2048), factors, strict=True)
    ]
    for record in after:  # times in hundredths of a millisecond
        record.timings[0].samples_ns[:] = [ns // 100 for ns in record.timings[0].samples_ns]
    (decode,) = [each for each in compare_runs(before, after).overall if each.kind[:2] == "tg"]
    interval = ttest_1samp([-math.log(f) for f in factors], 0.0).confidence_interval(0.95)
    assert decode.n_pairs == 3
    assert decode.ratio == pytest.approx(math.prod(factors) ** (-1 / 3), rel=1e-6)
    assert (decode.low, decode.high) == (
        pytest.approx(math.exp(interval.low), rel=1e-6),
        pytest.approx(math.exp(interval.high), rel=1e-6),
    )
    assert decode.worst.label == "n_ctx=2048"
    assert decode.worse > 0


def test_pairs_that_failed_alike_give_nothing_to_judge() -> None:
    failed = _record(outcome={"label": "oom_kv"}, timings=[], memory=[], quality=None)
    found = compare_runs([failed], [failed])
    assert found.n_failed_alike == found.n_pairs == 1
    assert found.why_nothing_compared == "1 pair of points, and no figure that both sides have"


@pytest.mark.parametrize(
    ("quantity", "kind"),
    [
        ("pp512 @ d4096 tokens_per_s", "pp tokens_per_s"),
        ("tg32 x4 tokens_per_s", "tg x4 tokens_per_s"),
        ("tg32 @ d512 joules", "tg joules"),
        ("CUDA0 vram_peak_bytes", "CUDA0 vram_peak_bytes"),
        ("perplexity", "perplexity"),
    ],
)
def test_a_kind_is_a_quantity_without_tokens_and_depth(quantity: str, kind: str) -> None:
    assert quantity_kind(quantity) == kind
