"""Items gathered by setting, paired with the reference, and how far a context holds."""

from random import Random
from typing import Any

import pytest
from tests.quality.conftest import graded, make_item, make_tasks, run_of

from oomph.quality.asking_time import asking_s, hours_needed
from oomph.quality.comparisons import compare_by_length, compare_runs, paired
from oomph.quality.effective_length import effective_length, longest_kept
from oomph.quality.tasks import cells, reference_of, score_of, task_runs
from oomph.records.schema import Record
from oomph.records.summary import summaries_of

REFERENCE = {"n_expert_used": 8}


def _sweep(n: int = 100, seed: int = 1, **shares: float) -> list[Record]:
    """8 experts, and 6 with the planted shares."""
    own, other = graded(Random(seed), n, **{"both": 0.6, "own": 0.05, "other": 0.25, **shares})
    return [
        make_tasks(
            [make_item(f"i{k}", score) for k, score in enumerate(scores)], n_expert_used=experts
        )
        for experts, scores in ((6, own), (8, other))
    ]


def _runs(records: list[Record]) -> Any:
    return task_runs(summaries_of(records))


def test_items_of_one_setting_are_gathered_over_contexts_and_count_once() -> None:
    small = make_tasks([make_item("a", 1.0)], n_ctx=1024)
    large = make_tasks([make_item("a", 0.0), make_item("b", 1.0, n_tokens=4096)], n_ctx=8192)
    (run,) = _runs([large, small])
    assert {name: item.score for name, item in run.items.items()} == {"a": 1.0, "b": 1.0}
    assert run.lengths == (1024, 4096)
    assert run.first.config["n_ctx"] == 1024
    assert [(t, n, s.n_right) for t, n, s in cells(run)] == [
        ("niah_single", 1024, 1),
        ("niah_single", 4096, 1),
    ]


def test_a_cut_short_record_gives_what_it_has_and_says_why() -> None:
    record = make_tasks(
        [],
        tasks={"items": [make_item("a", 1.0)], "missing": "the time was up after 1 of 30"},
        outcome={"label": "timeout"},
    )
    (run,) = _runs([record])
    assert run.missing == ("the time was up after 1 of 30",)
    assert len(run.items) == 1
    assert _runs([make_tasks([], tasks={"missing": "no chat template"})]) == []


def test_right_is_the_whole_score_and_the_mean_counts_parts() -> None:
    score = score_of(run_of([make_item(f"{k}", s) for k, s in enumerate((1, 0.5, 0))]).of())
    assert score is not None
    assert (score.n, score.n_right, score.mean) == (3, 1, pytest.approx(0.5))
    assert score.right_interval[0] > 0
    assert score_of([]) is None


def test_the_reference_is_the_setting_that_the_sweep_names() -> None:
    runs = _runs(_sweep())
    assert [run.n_expert_used for run in runs] == [6, 8]
    assert reference_of(runs[0], runs) is runs[1]
    assert reference_of(runs[1], runs) is None
    elsewhere = [make_tasks([make_item("i0", 1.0)], environment=_other_machine())]
    both = _runs([_sweep()[0], *elsewhere])
    assert reference_of(both[0], both) is None, "the reference was asked on another machine"


def _other_machine() -> dict[str, Any]:
    return {**make_tasks([]).environment.model_dump(), "machine": "other"}


def test_pairs_go_over_contexts_cache_types_and_rope() -> None:
    knobs = {"n_expert_used": 8, "type_k": "f16", "rope_scaling": None, "n_ctx": 4096}
    reference = make_tasks([make_item("a", 1.0)], reference=knobs)
    others = [
        make_tasks(
            [make_item("a", 0.0)], n_ctx=131072, reference=knobs, config=config, record_id=str(n)
        )
        for n, config in enumerate(({"type_k": "q8_0"}, {"rope_scaling": "yarn", "rope_scale": 4}))
    ]
    runs = _runs([reference, *others])
    scaled = next(run for run in runs if run.knobs.get("rope_scaling"))
    cached = next(run for run in runs if run.knobs["type_k"] == "q8_0")
    assert reference_of(cached, runs) is runs[0]
    assert reference_of(scaled, runs) is None, "the reference leaves rope_scale as it is"
    knobs |= {"rope_scale": None}
    again = [r.model_copy(update={"workload": {"tasks": {"reference": knobs}}}) for r in others]
    runs = _runs([reference, *again])
    assert [len(compare_runs(runs)), compare_runs(runs)[0].n_pairs] == [2, 1]


def test_without_a_named_reference_the_first_that_shares_items_is_it() -> None:
    first, second = (
        make_tasks([make_item("a", score)], reference=None, model=_named(name))
        for name, score in (("one", 1.0), ("two", 0.0))
    )
    runs = _runs([first, second])
    assert reference_of(runs[1], runs) is runs[0]
    assert reference_of(runs[0], runs) is None


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "path": name, "arch": "", "file_bytes": 0, "header_sha256": ""}


def test_a_planted_difference_is_shown_and_none_is_not() -> None:
    (worse,) = compare_runs(_runs(_sweep()))
    assert worse.finding == "worse"
    assert worse.n_pairs == 100
    assert worse.interval[0] < worse.difference < worse.interval[1] < 0
    assert worse.p == pytest.approx(worse.p_right), "right or wrong: McNemar's"
    assert worse.discordant == (worse.n_better + worse.n_worse) / 100
    assert worse.n_needed is not None
    assert worse.n_needed < 150
    (same,) = compare_runs(_runs(_sweep(seed=2, own=0.1, other=0.1)))
    assert same.finding == "not shown"


def test_many_comparisons_count_among_each_other() -> None:
    base = _sweep(30, both=0.5, own=0.0, other=0.2)
    more = [base[0].model_copy(update={"config": base[0].config | {"type_k": f"q{k}_0"}}) for k in
            (4, 5, 8)]  # fmt: skip
    knobs = {"n_expert_used": 8, "type_k": "f16"}
    records = [
        r.model_copy(update={"workload": {"tasks": {"reference": knobs}}}) for r in [*base, *more]
    ]
    found = compare_runs(_runs(records))
    assert [each.n_together for each in found] == [4] * 4
    assert all(each.p_together == pytest.approx(min(1, 4 * each.p)) for each in found)


def test_lengths_are_compared_one_by_one() -> None:
    items = [[make_item(f"{n}-{k}", 1.0, n_tokens=n) for n in (1024, 4096) for k in range(9)]] * 2
    worse = [i | {"score": 0.0} if i["n_tokens"] == 4096 else i for i in items[0]]
    runs = _runs([make_tasks(worse, n_expert_used=6), make_tasks(items[1])])
    found = compare_by_length(runs)
    assert [(each.n_tokens, each.difference, each.finding) for each in found] == [
        (1024, 0.0, "not shown"),
        (4096, -1.0, "worse"),
    ]
    assert paired(runs[0], runs[1], task="two_hop") is None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({1024: 1.0, 2048: 0.9, 4096: 0.85}, 4096),
        ({1024: 1.0, 2048: 0.9, 4096: 0.84}, 2048),
        ({1024: 1.0, 2048: 0.5, 4096: 1.0}, 1024),
        ({1024: 0.4, 2048: 0.35}, 2048),
        ({1024: 0.0, 2048: 0.5}, None),
    ],
)
def test_the_effective_length_ends_before_the_first_that_falls_short(
    scores: dict[int, float], expected: int | None
) -> None:
    assert longest_kept({n: {"t": score} for n, score in scores.items()}) == expected


def test_how_sure_an_effective_length_is_depends_on_the_items() -> None:
    def _at(n: int) -> Any:
        random = Random(7)
        items = [
            make_item(f"{length}-{k}", float(random.random() < share), n_tokens=length)
            for length, share in ((1024, 0.9), (2048, 0.85), (4096, 0.5))
            for k in range(n)
        ]
        return effective_length(run_of(items))

    few, many = _at(10), _at(400)
    assert many.n_tokens == 2048
    assert not many.is_open
    assert many.agreed > 0.95 > few.agreed
    assert (many.low, many.high) == (2048, 2048)
    assert few.low < few.high


def test_one_length_has_no_effective_one() -> None:
    assert effective_length(run_of([make_item("a", 1.0)])) is None
    assert effective_length(run_of([make_item("a", 1.0, n_tokens=None)])) is None


def test_of_almost_nothing_there_is_nothing_to_keep() -> None:
    items = [make_item(f"{n}-{k}", float(k < 2), n_tokens=n) for n in (400, 800) for k in range(40)]
    assert effective_length(run_of(items)) is None


def _timed(n_tokens: int, *depths: int) -> list[dict[str, Any]]:
    """Reading takes 1 ms a token and 1 µs more for each token before it; writing ten times that."""
    return [
        {
            "test": f"{kind}{n}",
            "n_tokens": n,
            "n_depth": d,
            "samples_ns": [round(n * factor * (1e6 + 1e3 * (d + n / 2)))],
        }
        for kind, n, factor in (("pp", n_tokens, 1), ("tg", 32, 10))
        for d in depths
    ]


def test_hours_are_of_the_records_own_rates() -> None:
    """A prompt of 1,000 tokens: 1,000 × (1 ms + 0.5 ms), and 24 × 10 × (1 ms + 1 ms)."""
    records = [
        r.model_copy(update={"timings": make_tasks([], timings=_timed(512, 0, 512, 1024)).timings})
        for r in _sweep()
    ]
    (found,) = compare_runs(_runs(records))
    seconds = asking_s(found.run)
    assert seconds == pytest.approx(1.5 + 0.48, rel=0.01)
    assert found.n_needed is not None
    assert hours_needed(found) == pytest.approx(found.n_needed * 2 * seconds / 3600)


def test_hours_are_none_where_no_speed_was_measured_that_deep() -> None:
    (bare,) = compare_runs(_runs(_sweep()))
    assert hours_needed(bare) is None
    shallow = run_of([make_item("a", 1.0, n_tokens=65536)], timings=_timed(512, 0))
    assert asking_s(shallow) is None
    graders = run_of([make_item("a", 1.0, n_tokens=None)], timings=_timed(512, 0, 512))
    assert asking_s(graders) is None
