"""Tasks from a sweep file to the record: what is refused, what a point that ends early keeps, and
the real demo model."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oomph.errors import ConfigError
from oomph.measure.drift_check import can_anchor
from oomph.measure.executors import Completed, Job, LocalExecutor
from oomph.measure.plan import Place, open_subject, plan_sweep
from oomph.measure.point import Point
from oomph.measure.recording import Setting
from oomph.measure.rerun import sweep_of as sweep_of_record
from oomph.measure.sweep import Sweep
from oomph.measure.tasks.items import asked_items
from oomph.measure.texts import questions
from oomph.measure.workload import TaskTest
from oomph.models.demo import demo_model
from oomph.records.environment import read_environment
from oomph.records.harmless import scrub
from oomph.records.schema import ModelIdentity, Record, Tasks

HEAD = 'name = "s"\nmodel = "demo"\n'
SWEEP = """
axes = { n_ctx = [512, 2048], n_expert_used = [6, 8, 7], type_k = ["q8_0", "f16"] }
[measure.tasks]
lengths = [400, "1k"]
reference = { n_expert_used = 8, type_k = "f16" }
"""
SETTING = Setting(
    sweep="s",
    environment=read_environment(backend="cpu"),
    model_path="/m.gguf",
    model=ModelIdentity(name="m", path="m.gguf", arch="llama", file_bytes=1, header_sha256="ab"),
)


def sweep_of(text: str) -> Sweep:
    return Sweep.parse(HEAD + text)


def point_of(tasks: str, config: str = "n_ctx = 1024") -> Point:
    return sweep_of(f"[config]\n{config}\n[measure]\ntasks = {tasks}").points()[0]


def completed(point: Point, **changes: Any) -> Completed:
    fields: dict[str, Any] = {
        "point": point,
        "started_at": datetime(2026, 1, 2, tzinfo=UTC),
        "wall_ns": 5,
        "exit_code": None,
        "reply": {"load_ns": 1, "tasks_missing": None},
        "failure": None,
        "timed_out": False,
        "log": (),
    }
    return Completed(**fields | changes)


def answer(item: str = "ab" * 8, answer: str = "4821", **changes: Any) -> dict[str, Any]:
    said = {
        "task": "niah_single",
        "item": item,
        "n_tokens": 400,
        "n_prompt": 368,
        "depth": 0.5,
        "expected": ["4821"],
        "answer": answer,
    }
    return said | changes


def tasks_of(record: Record) -> Tasks:
    assert record.tasks is not None
    return record.tasks


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ('{ families = ["niah"] }', "measure: tasks.families.0 is 'niah'; there are niah_single, "),
        ("{ families = [] }", "measure: tasks.families is "),
        ("{ lengths = [] }", "measure: tasks.lengths is "),
        ("{ lengths = [64] }", "tasks.lengths.0"),
        ('{ lengths = ["half"] }', "tasks.lengths.0"),
        ("{ lengths = [400, 400] }", "has one of its lengths twice; name each once"),
        ("{ n_items = 0 }", "tasks.n_items is 0; "),
        ("{ depths = [1.5] }", "tasks.depths.0 is 1.5; "),
        ("{ n_texts = 4 }", "unknown key 'tasks.n_texts'; the keys there are families, lengths, "),
        ("{ reference = {} }", "has a reference without knobs; name n_expert_used, type_k or"),
        ("{ reference = { n_experts = 8 } }", "n_experts"),
        (
            "{ reference = { n_expert_used = 8 } }",
            "measure.tasks.reference has no point to compare ",
        ),
        (
            "{ lengths = [2048, 4096] }",
            "measure.tasks.lengths has no length that 1,024 tokens of context hold; give a shorter "
            "one, or raise n_ctx",
        ),
    ],
)
def test_what_a_sweep_cannot_ask_is_one_sentence(tasks: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        point_of(tasks)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_llama_server_is_not_asked() -> None:
    with pytest.raises(ConfigError, match="tasks to score, which is the library's"):
        sweep_of('[measure]\nthrough = "llama-server"\ntasks = {}\n')


def test_the_reference_is_measured_first_in_every_context() -> None:
    points = sweep_of(SWEEP.replace('"1k"', "1024")).points()
    first = [point for point in points if point.is_task_reference]
    assert [(p.config.n_expert_used, p.config.type_k) for p in first] == [(8, "f16")] * 2
    assert points[: len(first)] == tuple(first)
    assert len(points) == 12


def test_contexts_ask_the_lengths_that_they_hold() -> None:
    test = TaskTest(lengths=(400, 1000, "full"), n_items=1)
    assert test.lengths_within(1000) == [400, 1000]
    assert test.lengths_within(2000) == [400, 1000, 2000]
    small, large = (
        {json.dumps(item) for item in asked_items(test, seed=1, n_ctx=n_ctx)}
        for n_ctx in (1000, 2000)
    )
    assert small < large, "the items of the lengths that both hold are equal"


def test_the_time_that_is_left_bounds_the_asking() -> None:
    point = point_of("{ lengths = [400], budget_s = 50 }")
    for left, seconds in ((20.0, 20.0), (90.0, 50.0)):
        asked = questions(point, {}, None, seconds=left)
        assert asked is not None
        assert asked["tasks"]["seconds"] == seconds
    asked = questions(point_of("{ lengths = [400] }"), {}, None)
    assert asked is not None
    assert asked["tasks"]["seconds"] == 1e9


def test_points_of_before_keep_their_ids_and_lines() -> None:
    point = sweep_of("").points()[0]
    assert "tasks" not in point.workload.identity()
    record = SETTING.record_of(completed(point))
    assert record.tasks is None
    assert '"tasks"' not in record.model_dump_json(exclude={"workload"})
    line = record.model_dump_json()
    assert Record.model_validate_json(line).model_dump_json() == line


def test_answers_are_graded_and_written_back_as_they_were() -> None:
    point = point_of("{ lengths = [400] }")
    items = [answer("aa" * 8), answer("bb" * 8, "no", depth=None, task="two_hop")]
    record = SETTING.record_of(completed(point, reply={"tasks_missing": None, "task_items": items}))
    told = tasks_of(record)
    assert [item.score for item in told.items] == [1, 0]
    assert (told.graded_by, told.missing) == ("rule", None)
    assert record.workload["tasks"]["lengths"] == [400]
    line = record.model_dump_json()
    assert Record.model_validate_json(line).model_dump_json() == line


def test_a_point_that_ended_early_keeps_what_it_had() -> None:
    point = point_of("{ lengths = [400], n_items = 2 }")
    early = completed(point, exit_code=-9, timed_out=True, reply={"task_items": [answer()]})
    told = tasks_of(SETTING.record_of(early))
    assert len(told.items) == 1
    assert told.missing == "the point ended early: 1 of 12 items asked"
    assert SETTING.record_of(replace(early, reply={})).tasks is None


def test_a_context_that_holds_no_length_says_so() -> None:
    points = sweep_of("axes = { n_ctx = [256, 512] }\n[measure.tasks]\nlengths = [400]").points()
    short = next(point for point in points if point.config.n_ctx == 256)
    assert questions(short, {}, None) is None
    told = tasks_of(SETTING.record_of(completed(short)))
    assert told.items == []
    assert told.missing == ("no length fits: the shortest is 400 tokens, the context has 256")


def test_nothing_that_was_asked_or_answered_is_shared_but_its_score() -> None:
    point = point_of("{ lengths = [400], n_items = 2 }")
    secret = "/home/me"
    items = [
        answer("ab" * 8, secret, expected=[secret]),
        answer(secret),
        answer(task=secret),
    ]
    record = SETTING.record_of(
        completed(point, reply={"tasks_missing": secret, "task_items": items})
    )
    shared = scrub(record)
    assert secret not in shared.model_dump_json()
    assert [item.item for item in tasks_of(shared).items] == ["ab" * 8]
    assert tasks_of(shared).items[0].n_tokens == 400
    assert shared.workload["tasks"]["lengths"] == [400]
    other = record.model_copy(update={"tasks": Tasks(items=[], graded_by=secret)})
    assert tasks_of(scrub(other)).graded_by == "another grader"


def test_a_point_that_asks_tasks_is_not_measured_again_to_see_drift() -> None:
    timing = {"test": "pp8", "n_tokens": 8, "n_depth": 0, "samples_ns": [9, 9, 9]}
    reply = {"load_ns": 1, "timings": [timing]}
    assert can_anchor(SETTING.record_of(completed(sweep_of("").points()[0], reply=reply)))
    asked = completed(point_of("{ lengths = [400] }"), reply=reply | {"task_items": [answer()]})
    assert not can_anchor(SETTING.record_of(asked))


def test_a_record_has_all_that_asks_its_items_again() -> None:
    point = point_of(
        "{ lengths = [400, 'full'], budget_s = 9, reference = { n_ctx = 1024 }, depths = [1] }"
    )
    record = SETTING.record_of(completed(point))
    line = Record.model_validate_json(record.model_dump_json())
    (again,) = sweep_of_record(line).points()
    assert again.point_id("ab") == record.point_id == point.point_id("ab")
    assert again.workload.tasks == point.workload.tasks


@pytest.mark.parametrize("asked", ["text", "needle", "tasks"])
def test_what_gives_embeddings_is_asked_for_no_words(tiny_moe: Path, asked: str) -> None:
    tables = {"text": "n_tokens = 9", "needle": "n_texts = 1", "tasks": "lengths = [400]"}
    text = f"[config]\nembeddings = true\nn_ctx = 512\n[measure.{asked}]\n{tables[asked]}\n"
    sweep = Sweep.parse(f'name = "s"\nmodel = "{tiny_moe}"\n{text}')
    place = Place(executor=LocalExecutor(), environment=SETTING.environment, n_devices=0)
    with pytest.raises(ConfigError) as caught:
        plan_sweep(sweep, open_subject(sweep), place)
    assert f"measure.{asked} needs a model that writes, and " in str(caught.value)


def test_a_phantom_card_is_asked_nothing() -> None:
    assert point_of("{ lengths = [400] }").workload.memory_only().tasks is None


SPEAKING = """
load()
for line in sys.stdin:
    point = json.loads(line)
    measured(point)
    asked = json.loads(sys.stdin.readline())["tasks"]
    for item in asked["items"][:3]:
        say("answered", task_item={"task": item["task"], "item": "ab" * 8, "answer": "?",
            "n_tokens": item["n_tokens"], "n_prompt": 9, "depth": None, "expected": ["x"]})
    END
"""


@pytest.mark.parametrize(
    ("end", "label"),
    [
        ('say("done", quality=None, tasks_missing="because")', "ok"),
        ("os.abort()", "crash"),
        ("time.sleep(99)", "timeout"),
    ],
)
def test_items_come_one_by_one_however_the_worker_ends(
    speaker: Callable[[str], Path], end: str, label: str
) -> None:
    text = "[limits]\npoint_timeout_s = 3\n[measure]\ntasks = { lengths = [400], n_items = 1 }\n"
    points = sweep_of(f"config.n_ctx = 512\n{text}").points(n_devices=0)
    job = Job(model_path=Path("m.gguf"), arch="llama", points=points, n_threads=1)
    script = speaker(SPEAKING.replace("END", end))
    done = next(iter(LocalExecutor(worker=[str(script)], interval_s=0.01).run(job)))
    record = SETTING.record_of(done)
    told = tasks_of(record)
    assert (record.outcome.label, len(told.items)) == (label, 3)
    assert told.missing == (
        "because" if label == "ok" else "the point ended early: 3 of 6 items asked"
    )


def run_real(model: Path, text: str) -> list[Record]:
    sweep = Sweep.parse(f'name = "s"\nmodel = "{model}"\n{text}')
    points = sweep.points(n_devices=0)
    job = Job(model_path=model, arch="llama", points=points, n_threads=1)
    return [SETTING.record_of(done) for done in LocalExecutor().run(job)]


QUIET = "[measure]\nn_prompt = 0\nn_gen = 0\ntiming = false\n"


@pytest.mark.llama
@pytest.mark.slow
def test_the_demo_model_is_asked_the_same_in_every_setting() -> None:
    text = """
config = { n_threads = 1, n_expert_used = 1 }
[measure]
n_prompt = 0
n_gen = 0
timing = false
[measure.tasks]
lengths = [330]
families = ["niah_single", "common_words"]
n_items = 1
depths = [0.5]
[[group]]
name = "as it was trained"
axes = { n_ctx = 384 }
[[group]]
name = "YaRN"
axes = { n_ctx = 512, type_k = "q8_0" }
config = { rope_scaling = "yarn", rope_scale = 2.0 }
"""
    records = run_real(demo_model(), text)
    assert [record.outcome.label for record in records] == ["ok"] * 2
    told = [tasks_of(record) for record in records]
    assert len({tuple(item.item for item in each.items) for each in told}) == 1
    for each in told:
        assert each.missing is None
        for item in each.items:
            assert item.n_prompt == 330 - 32
            assert item.answer is not None
    assert all(record.conditions.scored_ns for record in records)


@pytest.mark.llama
@pytest.mark.slow
def test_time_that_is_up_ends_the_asking_and_is_said() -> None:
    tasks = "tasks = { lengths = [330], n_items = 5, budget_s = 0.001 }"
    config = "config = { n_ctx = 384, n_expert_used = 1 }"
    (record,) = run_real(demo_model(), f"{config}\n{QUIET}{tasks}")
    told = tasks_of(record)
    assert record.outcome.label == "ok"
    assert len(told.items) < 3
    assert told.missing == f"the time was up: {len(told.items)} of 30 items asked"


@pytest.mark.llama
def test_a_model_without_a_template_is_not_asked(tiny_moe: Path) -> None:
    (record,) = run_real(tiny_moe, f"config.n_ctx = 512\n{QUIET}tasks = {{ lengths = [400] }}")
    told = tasks_of(record)
    assert told.items == []
    assert told.missing == "the model has no chat template that llama.cpp knows"
