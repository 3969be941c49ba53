"""The queue looks at a point once for each time that it is taken, and holds against a record only
the points that it may say something of; what comes out is what the simple way gives."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.measure.test_runner import HERE, KV_REFUSED, Answering

from oomph.measure import proofs
from oomph.measure.point import Point
from oomph.measure.proofs import Proofs
from oomph.measure.pruning import dominates
from oomph.measure.queue import PointQueue
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.schema import Record
from oomph.records.store import Store

MakeSweep = Callable[[str], Sweep]
AXES = (
    "axes = {n_ctx = '256-2560+256', n_ubatch = [64, 512], type_k = ['f16', 'q8_0', 'f32'], "
    "n_expert_used = [1, 2]}"
)
WEIGHTS_REFUSED = {
    "exit_code": 1,
    "failure": ("load", "llama_model_load_from_file returned NULL"),
    "reply": {},
    "log": (
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 9",
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
    ),
}


def measured(folder: Path, sweep: Sweep, executor: Answering) -> list[Record]:
    return list(Runner(Store(folder), executor, environment=HERE).run(sweep))


@pytest.mark.parametrize("fresh", [True, False])
def test_each_point_is_taken_once_whatever_their_number(
    tmp_path: Path, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch, *, fresh: bool
) -> None:
    looked = Counter[str]()
    pop = PointQueue._is_waiting

    def count(queue: PointQueue, point_id: str) -> bool:
        looked[point_id] += 1
        return pop(queue, point_id)

    monkeypatch.setattr(PointQueue, "_is_waiting", count)
    head = "fresh_process = true\n" if fresh else ""
    records = measured(tmp_path, make_sweep(head + AXES), Answering())
    assert len(records) == len(looked) == 120
    assert max(looked.values()) <= 2, "once more where a load ends before it"


def test_only_what_may_be_shown_is_held_against_a_record_and_the_first_one_shows_it(
    tmp_path: Path, make_sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Point] = []

    def counted(failed: Point, outcome: str, *, at_load: bool, point: Point) -> bool:
        asked.append(point)
        return dominates(failed, outcome, at_load=at_load, point=point)

    monkeypatch.setattr(proofs, "dominates", counted)

    def answer(point: Point) -> dict[str, object]:
        if point.config.n_expert_used == 2 and point.config.type_k == "f16":
            return WEIGHTS_REFUSED
        return KV_REFUSED if point.config.n_ctx * point.config.n_ubatch > 400_000 else {}

    records = measured(tmp_path, make_sweep(AXES), Answering(answer))
    assert len(records) == 120
    by_id = {each.record_id: each for each in records}
    runner = Runner(Store(tmp_path), Answering(), environment=HERE)
    (plan,) = runner._plans(make_sweep(AXES))
    for place, record in enumerate(records):
        if record.outcome.label == "skipped":
            point = plan.points[record.point_id]
            first = next(
                each
                for each in records[:place]
                if dominates(
                    plan.points[each.point_id],
                    each.outcome.label,
                    at_load=each.load_ns is None,
                    point=point,
                )
            )
            assert record.outcome.evidence == [f"record {first.record_id}"]
            assert first is by_id[first.record_id]
    n_tried = sum(each.outcome.label != "skipped" for each in records)
    assert n_tried < 60
    assert len(asked) < 120 * 6


def test_a_point_that_was_in_hand_is_held_against_what_came_meanwhile(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep("axes.n_ctx = [256, 512, 1024]")
    records = measured(
        tmp_path, sweep, Answering(lambda p: KV_REFUSED if p.config.n_ctx >= 512 else {})
    )
    (plan,) = Runner(Store(tmp_path), Answering(), environment=HERE)._plans(sweep)
    known = Proofs(plan.points, [])
    known.add(next(each for each in records if each.outcome.label == "oom_kv"))
    (longest,) = (each for each, point in plan.points.items() if point.config.n_ctx == 1024)
    assert known.of(lambda point_id: False) == {}
    assert known.of(lambda point_id: True) == {}, "asked once"
    known.ask_again(plan.points)
    found = known.of(lambda point_id: point_id == longest)
    assert {each: proof.outcome.label for each, proof in found.items()} == {longest: "oom_kv"}
