"""A record carries everything to measure its point again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.errors import StoreError
from oomph.measure.executors import LocalExecutor
from oomph.measure.rerun import find_record, sweep_of
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.store import Store

pytestmark = pytest.mark.llama


def test_a_rerun_measures_the_same_point_with_what_the_record_says(
    tmp_path: Path, make_sweep: Callable[[str], Sweep]
) -> None:
    here, executor = read_environment(backend="cpu"), LocalExecutor()
    sweep = make_sweep(
        "load_mode = 'none'\nconfig = {n_ctx = 512, n_threads = 1}\n"
        "axes = {n_expert_used = 3, type_k = ['q8_0', 'f16']}\n"
        "measure = {n_prompt = 8, n_gen = 1, depths = [0, 'full'], text = {n_tokens = 16}}\n"
        "limits = {memory_bytes = '2 GiB', point_timeout_s = 99}"
    )
    first = next(Runner(Store(tmp_path), executor, environment=here).run(sweep))
    again = sweep_of(find_record(Store(tmp_path), first.record_id[:16]))
    (second,) = Runner(Store(tmp_path), executor, environment=here, again=True).run(again)
    assert second.point_id == first.point_id
    assert (second.label, second.workload["group"]) == (first.label, first.workload["group"])
    assert second.record_id != first.record_id
    assert (second.config, second.limits) == (first.config, first.limits)
    assert second.workload["load_mode"] == "none"
    assert [(t.test, t.n_depth) for t in second.timings] == [
        (t.test, t.n_depth) for t in first.timings
    ]
    with pytest.raises(StoreError, match="has 2 records with an id that begins with"):
        find_record(Store(tmp_path), first.point_id)
    with pytest.raises(StoreError, match="no record"):
        find_record(Store(tmp_path), "zzz")
