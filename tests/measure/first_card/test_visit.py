"""A visit with an executor that answers at once: order, time, failures, and going on where it
stopped."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomph.errors import ModelFileError, StoreError
from oomph.measure.bench import Bench, Share
from oomph.measure.executors import Completed, Job
from oomph.measure.first_card.journal import Journal
from oomph.measure.first_card.protocol import Protocol, Step
from oomph.measure.first_card.visit import Opened, Provoked, Visit, VisitEvent
from oomph.measure.frontier import Slack
from oomph.measure.plan import Subject, open_subject
from oomph.measure.sweep import Sweep, SweepFile
from oomph.records.environment import read_environment
from oomph.records.store import Store

STEPS = """
[models]
moe = "tiny"
[[step]]
name = "first"
asks = "?"
model = "moe"
group = [{ name = "g", axes = { n_ctx = [256, 512] } }]
[[step]]
name = "a card's"
asks = "?"
model = "moe"
needs = ["card"]
leave = "1GiB"
[[step]]
name = "second"
asks = "?"
model = "moe"
group = [{ name = "g", axes = { n_ctx = [768] } }]
"""


class Answering:
    """An executor that runs nothing; `meanwhile` is called before each point."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.meanwhile, self.n_ctx = meanwhile, list[int]()

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        for point in job.points:
            self.meanwhile()
            self.n_ctx.append(point.config.n_ctx)
            yield Completed(
                point=point,
                started_at=datetime.now(UTC),
                wall_ns=1,
                exit_code=None,
                failure=None,
                timed_out=False,
                reply={"load_ns": 1},
                log=(f"llama_context: n_ctx = {point.config.n_ctx}",),
            )


class Expecting:
    """A foresight that expects so many seconds of every step."""

    def __init__(self, seconds: float = 0.1) -> None:
        self._seconds = seconds

    def seconds(self, step: Step, subject: Subject, *, is_there: bool) -> float:
        return self._seconds

    def slack(self, subject: Subject, usable_bytes: int) -> Slack | None:
        return None

    def provoked(self, step: Step, subject: Subject) -> Sequence[Provoked]:
        return ()


class OneModel:
    """Every reference is this file; `fails` is how opening it ends."""

    def __init__(self, path: Path, fails: Exception | None = None) -> None:
        self._path, self._fails = path, fails

    def resolve(self, reference: str) -> tuple[Subject, bool]:
        return open_subject(
            Sweep(file=SweepFile(name="x", model="")), model=self._path, known_as=reference
        ), True

    def open(self, reference: str) -> Opened:
        if self._fails:
            raise self._fails
        return Opened(subject=self.resolve(reference)[0], note="made")


def bench_of(executor: Answering) -> Bench:
    environment = read_environment(backend="cpu")
    share = Share(executor=executor, environment=environment)
    return Bench(
        executor=executor, environment=environment, cards=(), share=lambda cards, pinned: share
    )


def visit(
    folder: Path,
    executor: Answering,
    model: OneModel,
    *,
    minutes: float = 1.0,
    seconds: float = 0.1,
) -> list[VisitEvent]:
    visiting = Visit(
        Protocol.parse(STEPS),
        bench_of(executor),
        folder=folder,
        minutes=minutes,
        foresight=Expecting(seconds),
        models=model,
    )
    return list(visiting.run())


def texts(events: Sequence[VisitEvent]) -> list[tuple[str, str]]:
    return [(event.step, event.text) for event in events if event.record is None]


def test_steps_come_in_order_and_each_is_on_disk_before_the_next(
    tmp_path: Path, tiny_moe: Path
) -> None:
    seen: list[list[int]] = []
    executor = Answering(
        lambda: seen.append([int(r.config["n_ctx"]) for r in Store(tmp_path).records()])
    )
    events = visit(tmp_path, executor, OneModel(tiny_moe))
    assert executor.n_ctx == [256, 512, 768]
    assert seen == [[], [256], [256, 512]]
    assert [event.record.outcome.label for event in events if event.record] == ["ok"] * 3
    assert ("first", "made") in texts(events)
    states = {
        entry.step: (entry.state, entry.why) for entry in Journal(tmp_path).entries().values()
    }
    assert states == {
        "first": ("done", ""),
        "a card's": ("left out", "it needs a card"),
        "second": ("done", ""),
    }


def test_the_same_command_does_nothing_twice(tmp_path: Path, tiny_moe: Path) -> None:
    visit(tmp_path, Answering(), OneModel(tiny_moe))
    again = Answering()
    events = visit(tmp_path, again, OneModel(tiny_moe))
    assert again.n_ctx == []
    assert ("first", "done already") in texts(events)


def test_what_does_not_fit_the_time_is_left_out_and_done_the_next_time(
    tmp_path: Path, tiny_moe: Path
) -> None:
    executor = Answering()
    events = visit(tmp_path, executor, OneModel(tiny_moe), minutes=1, seconds=120)
    assert executor.n_ctx == []
    assert any("left out: it would take about 2 min 00 s" in text for _, text in texts(events))
    visit(tmp_path, executor, OneModel(tiny_moe), minutes=10, seconds=120)
    assert executor.n_ctx == [256, 512, 768]


@pytest.mark.parametrize("ended_by", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_keeps_what_is_there_and_the_next_run_goes_on(
    tmp_path: Path, tiny_moe: Path, ended_by: type[BaseException]
) -> None:
    def end_it() -> None:
        if len(executor.n_ctx) == 1:
            raise ended_by

    executor = Answering(end_it)
    with pytest.raises(ended_by):
        visit(tmp_path, executor, OneModel(tiny_moe))
    assert [int(record.config["n_ctx"]) for record in Store(tmp_path).records()] == [256]
    second = Answering()
    visit(tmp_path, second, OneModel(tiny_moe))
    assert second.n_ctx == [512, 768]


def test_a_model_that_cannot_be_had_costs_its_step_only(tmp_path: Path, tiny_moe: Path) -> None:
    events = visit(
        tmp_path,
        Answering(),
        OneModel(tiny_moe, fails=ModelFileError("the disk is full; free some")),
    )
    assert ("first", "failed: the disk is full; free some") in texts(events)
    assert ("second", "failed: the disk is full; free some") in texts(events)


def test_a_results_folder_that_takes_nothing_ends_the_visit(tmp_path: Path, tiny_moe: Path) -> None:
    with pytest.raises(StoreError):
        visit(tmp_path, Answering(), OneModel(tiny_moe, fails=StoreError("full")))
