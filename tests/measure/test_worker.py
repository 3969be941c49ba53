"""The worker on a real, tiny model: the ladder's rungs, the knobs that llama.cpp reports back, the
text's score."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from oomph.measure.executors import Completed, Executor, Job, LocalExecutor
from oomph.measure.logs.reported import read_buffers, read_reported
from oomph.measure.sweep import Sweep
from oomph.measure.worker import ladder
from oomph.measure.worker.context import Context

pytestmark = pytest.mark.llama


@pytest.fixture(scope="module")
def executor() -> Executor:
    return LocalExecutor(interval_s=0.01)


@pytest.fixture
def complete(
    tiny_moe: Path, executor: Executor, make_sweep: Callable[[str], Sweep]
) -> Callable[..., list[Completed]]:
    def run(text: str, *, content: str = "") -> list[Completed]:
        points = make_sweep(text).points(n_devices=0)
        job = Job(
            model_path=tiny_moe, arch="llama", points=points, n_threads=1, texts={None: content}
        )
        return list(executor.run(job))

    return run


def test_the_ladder_times_every_chunk_on_the_way_and_both_tests_at_each_stop(
    complete: Callable[..., list[Completed]],
) -> None:
    (point,) = complete(
        "axes.n_ctx = 512\n[measure]\nn_prompt = 64\nn_gen = 4\ndepths = [0, 150, 'full']\n"
        "repetitions = {least = 2, most = 2, neighbours = false}"
    )
    assert point.exit_code is None
    timings = [(t["test"], t["n_depth"], len(t["samples_ns"])) for t in point.reply["timings"]]
    assert timings == [
        ("cold_pp64", 0, 1),
        ("cold_tg1", 0, 1),
        ("tg4", 0, 2),
        ("pp64", 0, 2),
        ("pp64", 64, 1),  # the chunk that fills to 128; the 22 tokens up to 150 are no pp64
        ("tg4", 150, 2),
        ("pp64", 150, 2),
        ("pp64", 214, 1),
        ("pp64", 278, 1),
        ("pp64", 342, 1),
        ("tg4", 448, 2),
        ("pp64", 448, 2),
    ]
    for timing in point.reply["timings"]:
        assert all(sample > 0 for sample in timing["samples_ns"])
        assert len(timing["ended_ns"]) == len(timing["samples_ns"])
        assert timing["ended_ns"] == sorted(timing["ended_ns"])


def test_contexts_of_one_load_are_measured_in_one_process(
    complete: Callable[..., list[Completed]],
) -> None:
    points = complete("axes.n_ctx = [256, 512]\n[measure]\nn_prompt = 8\nn_gen = 1")
    assert [point.conditions["context_index"] for point in points] == [0, 1]
    assert len({point.reply["load_ns"] for point in points}) == 1
    assert [read_reported(point.log).n_ctx for point in points] == [256, 512]


def test_knobs_reach_llama_cpp_and_come_back_in_its_log(
    complete: Callable[..., list[Completed]],
) -> None:
    (point,) = complete(
        "axes = {n_ctx = 512, n_ubatch = 32, type_k = 'q8_0', n_expert_used = 3, flash_attn = "
        "'on', n_seq_max = 2}\n"
        "[measure]\nn_prompt = 8\nn_gen = 1"
    )
    reported = read_reported(point.log)
    assert (reported.n_ubatch, reported.n_expert_used, reported.n_ctx_seq) == (32, 3, 256)
    assert (reported.type_k, reported.type_v, reported.flash_attn) == ("q8_0", "f16", "enabled")
    assert reported.rope_freq_scale == 1
    buffers = read_buffers(point.log)
    assert buffers.model_mib
    assert sum(sum(sizes) for sizes in buffers.compute_mib.values()) > 0


def test_rope_scaling_reaches_llama_cpp(complete: Callable[..., list[Completed]]) -> None:
    (point,) = complete(
        "axes = {n_ctx = 512, rope_scaling = 'yarn', rope_scale = 4, yarn_orig_ctx = 128}\n"
        "[measure]\nn_prompt = 8\nn_gen = 1"
    )
    assert read_reported(point.log).rope_freq_scale == 0.25
    assert any("n_ctx_train adjusted to 512" in line for line in point.log)


def test_parallel_sequences_are_filled_in_step(complete: Callable[..., list[Completed]]) -> None:
    (point,) = complete(
        "config = {n_seq_max = 3, n_parallel = 3}\naxes.n_ctx = 768\n"
        "[measure]\nn_prompt = 16\nn_gen = 2\ndepths = ['full']"
    )
    assert {t["n_parallel"] for t in point.reply["timings"]} == {3}
    assert point.reply["timings"][-1]["n_depth"] == 256 - 16


def test_without_timing_the_context_is_filled_and_nothing_clocked(
    complete: Callable[..., list[Completed]],
) -> None:
    (point,) = complete(
        "axes.n_ctx = 256\n[measure]\nn_prompt = 32\nn_gen = 2\ndepths = ['full']\ntiming = false"
    )
    assert point.exit_code is None
    assert point.reply["timings"] == []


def test_a_text_is_scored_by_position_whatever_the_pass(
    complete: Callable[..., list[Completed]],
) -> None:
    text = (
        "axes = {n_ctx = 256, n_expert_used = 4}\n[measure]\nn_prompt = 0\nn_gen = 0\ntext = "
        "{n_tokens = 96%s}"
    )
    content = "the same words again " * 10
    (whole,) = complete(text % "", content=content)
    (halves,) = complete(text % ", n_ctx = 48", content=content)
    once, twice = whole.reply["quality"], halves.reply["quality"]
    assert (once["n_pass"], len(once["nll_nats"])) == (96, 95)
    assert (twice["n_pass"], len(twice["nll_nats"])) == (48, 94)
    assert once["nll_nats"][:47] == pytest.approx(
        twice["nll_nats"][:47], abs=0.02
    )  # another batch shape, other sums
    assert sum(once["nll_nats"]) / 95 == pytest.approx(
        math.log(300), rel=0.5
    )  # random weights know nothing


def test_an_allocation_that_the_limit_refuses_ends_the_job_with_the_stage(
    complete: Callable[..., list[Completed]],
) -> None:
    points = complete(
        "axes.n_ctx = [256, 4194304]\nlimits.memory_bytes = '400 MiB'\n"
        "[measure]\nn_prompt = 8\nn_gen = 1\ntiming = false"
    )
    assert [point.exit_code for point in points] == [None, 1]
    assert points[1].failure is not None
    assert points[1].failure[0] == "context"
    assert any("failed to allocate buffer for kv cache" in line for line in points[1].log)


def test_an_override_of_a_tensor_to_an_unknown_buffer_type_says_which_there_are(
    complete: Callable[..., list[Completed]],
) -> None:
    (point,) = complete("config.override_tensor = 'ffn=Nowhere'\naxes.n_ctx = 256")
    assert point.failure == (
        "config",
        "override_tensor names the buffer type 'Nowhere'; there are CPU",
    )


def test_a_recurrent_models_state_is_put_back_where_it_cannot_be_cut(
    tiny_mamba: Path, executor: Executor, make_sweep: Callable[[str], Sweep]
) -> None:
    points = make_sweep(
        "config = {n_seq_max = 2, n_parallel = 2}\naxes.n_ctx = 512\n"
        "[measure]\nn_prompt = 32\nn_gen = 3\ndepths = [0, 50]\n"
        "repetitions = {least = 2, most = 2, neighbours = false}"
    ).points(n_devices=0)
    (point,) = executor.run(Job(model_path=tiny_mamba, arch="mamba", points=points, n_threads=1))
    assert point.exit_code is None
    assert [(t["test"], t["n_depth"], len(t["samples_ns"])) for t in point.reply["timings"]][
        2:
    ] == [("tg3", 0, 2), ("pp32", 0, 2), ("tg3", 50, 2), ("pp32", 50, 2)]
    assert read_buffers(point.log).recurrent_mib["CPU"][0] > 0


@pytest.mark.parametrize(
    ("n", "ranks"),
    [(6, (0, 5)), (7, (0, 6)), (8, (0, 7)), (9, (1, 7)), (12, (2, 9)), (20, (5, 14))],
)
def test_the_interval_of_the_median_takes_the_tabled_order_statistics(
    n: int, ranks: tuple[int, int]
) -> None:
    """Ranks as in the tables of the sign test's 95 % interval (e.g. Conover, Practical
    Nonparametric Statistics)."""
    samples = [10**6 + rank * 10**3 for rank in range(n)]
    low, high = (samples[rank] for rank in ranks)
    assert ladder.median_half_width(samples) == pytest.approx((high - low) / (2 * samples[n // 2]))
    assert math.isinf(ladder.median_half_width(samples[:5]))


class StraightContext:
    """A context without a model: prefill takes `base_ns` and `per_cell_ns` a cell of depth, and
    once `bump` more."""

    keeps_state = False
    fills_the_host = False
    cpu_ns = 0

    def __init__(
        self, *, bumps: Mapping[int, float], neighbours: bool, keeps_state: bool = False
    ) -> None:
        self.depth, self.n_batch, self.n_ctx_seq = 0, 512, 4096
        self.bumps, self.keeps_state, self.prefilled = dict(bumps), keeps_state, list[int]()
        rule = {
            "least": 3,
            "most": 3,
            "half_width": None,
            "budget_s": None,
            "neighbours": neighbours,
        }
        self.workload = {"n_prompt": 64, "n_gen": 2, "depths": [0, 256, 512], "repetitions": rule}

    def prefill(self, n_tokens: int) -> int:
        self.prefilled.append(self.depth)
        elapsed = (1_000_000 + 1_000 * self.depth) * self.bumps.pop(self.depth, 1.0)
        self.depth += n_tokens
        return round(elapsed)

    def decode(self, n_tokens: int) -> int:
        self.depth += n_tokens
        return 5_000

    def save(self) -> tuple[int, list[str]]:
        return self.depth, []

    def restore(self, mark: tuple[int, list[str]]) -> None:
        self.depth = mark[0]

    def cut_back(self, depth: int) -> None:
        assert not self.keeps_state
        self.depth = depth


class CrowdedContext(StraightContext):
    """One whose every `each`-th call gets half of the processor time, and takes twice as long."""

    fills_the_host = True

    def __init__(self, *, each: int) -> None:
        super().__init__(bumps={}, neighbours=False)
        self.config, self.each, self.n_calls = {"n_threads": 2}, each, 0

    def prefill(self, n_tokens: int) -> int:
        return self._crowded(super().prefill(n_tokens))

    def decode(self, n_tokens: int) -> int:
        return self._crowded(super().decode(n_tokens))

    def _crowded(self, elapsed: int) -> int:
        self.n_calls, self.cpu_ns = self.n_calls + 1, 2 * elapsed
        return 2 * elapsed if self.n_calls % self.each == 0 else elapsed


def test_a_sample_that_was_put_aside_is_named_and_made_up_for() -> None:
    timings = ladder.climb(cast("Context", CrowdedContext(each=3)))
    assert any(timing["disturbed"] for timing in timings)
    for timing in timings:
        if timing["n_depth"] in (0, 256, 512):
            assert len(timing["samples_ns"]) - len(timing["disturbed"]) == 3
        quiet = [ns for i, ns in enumerate(timing["samples_ns"]) if i not in timing["disturbed"]]
        assert len(set(quiet)) <= 1


def test_a_machine_that_is_never_quiet_does_not_keep_a_sweep_for_ever() -> None:
    timings = ladder.climb(cast("Context", CrowdedContext(each=1)))
    assert max(len(timing["samples_ns"]) for timing in timings) == ladder.MOST_DISTURBED + 3


def climbed(**described: Any) -> tuple[StraightContext, dict[tuple[str, int], list[int]]]:
    context = StraightContext(**described)
    timings = ladder.climb(cast("Context", context))
    return context, {
        (timing["test"], timing["n_depth"]): timing["samples_ns"] for timing in timings
    }


def test_one_prefill_is_enough_at_a_stop_that_its_neighbours_bear_out() -> None:
    context, samples = climbed(bumps={}, neighbours=True)
    assert context.prefilled == list(range(0, 576, 64))
    assert samples["pp64", 256] == [1_256_000]
    assert all(len(samples["tg2", stop]) == 3 for stop in (0, 256, 512))


@pytest.mark.parametrize("stop", [0, 256, 512])
@pytest.mark.parametrize(("bump", "n_more"), [(1.02, 0), (1.04, 1), (1.3, 2)])
def test_a_stop_that_is_off_its_neighbours_line_is_timed_again_until_its_median_is_on_it(
    stop: int, bump: float, n_more: int
) -> None:
    context, samples = climbed(bumps={stop: bump}, neighbours=True)
    assert context.prefilled == [*range(0, 576, 64), *[stop] * n_more]
    straight = 1_000_000 + 1_000 * stop
    assert samples["pp64", stop] == [round(straight * bump), *[straight] * n_more]


def test_neighbours_that_scatter_themselves_bear_out_what_lies_among_them() -> None:
    noise = {depth: 1.03 if depth // 64 % 2 else 0.97 for depth in range(64, 576, 64)}
    context, samples = climbed(bumps=noise | {256: 1.045}, neighbours=True)
    assert context.prefilled.count(256) == 1
    assert samples["pp64", 256] == [round(1_256_000 * 1.045)]
    context, _ = climbed(bumps=noise | {256: 1.1}, neighbours=True)
    assert context.prefilled.count(256) > 1


def test_a_neighbour_that_is_off_the_line_moves_no_stop() -> None:
    context, samples = climbed(bumps={192: 1.5}, neighbours=True)
    assert context.prefilled == list(range(0, 576, 64))
    assert samples["pp64", 192] == [1_788_000]


def test_a_model_that_keeps_a_state_is_never_cut_and_counts_the_neighbours_that_it_has() -> None:
    context, samples = climbed(bumps={}, neighbours=True, keeps_state=True)
    assert [len(samples["pp64", stop]) for stop in (0, 256, 512)] == [3, 1, 1]
    assert context.prefilled == [0, 0, *range(0, 576, 64)]


def test_without_neighbours_every_stop_has_the_samples_that_the_rule_asks_for() -> None:
    context, samples = climbed(bumps={}, neighbours=False)
    assert [len(samples["pp64", stop]) for stop in (0, 256, 512)] == [3, 3, 3]
    assert context.prefilled == [*range(0, 576, 64), 512, 512, 256, 256, 0, 0]


def test_repetitions_stop_at_the_target_the_most_or_the_budget() -> None:
    rule = {"least": 3, "most": 10, "half_width": 0.05, "budget_s": None}
    assert ladder.wants_more([100] * 3, rule)  # five samples and fewer do not tell the interval
    assert not ladder.wants_more([100] * 6, rule)
    assert ladder.wants_more([100, 200] * 3, rule)
    assert not ladder.wants_more([100, 200] * 5, rule)
    assert not ladder.wants_more([10**9] * 4, rule | {"budget_s": 3.0})
    assert ladder.wants_more([10**9] * 2, rule | {"budget_s": 1.0})
