"""A page of tasks: led by its answer, in words no surer than its items; figures of both kinds."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from matplotlib.figure import Figure

import oomph
from oomph.models.demo import SPLIT_NAME
from oomph.quality.comparisons import compare_runs
from oomph.quality.tasks import task_runs
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.views.lead import QUESTIONS, kind_of, lead_of
from oomph.views.material import Material
from oomph.views.pareto import pareto_table, trades
from oomph.views.quality import gains_table
from oomph.views.report import build_report
from oomph.views.sections import build_chapter
from oomph.views.table import Table
from oomph.views.task_figures import costs_of, shown_runs
from oomph.views.task_tables import (
    lengths_table,
    pairs_table,
    power_table,
    scores_table,
    tasks_table,
)

Make = Callable[..., Record]
ABLE = {6: 0.3, 8: 0.8, 10: 0.8}
LENGTHS = (1024, 2048, 4096)
TASKS = {"niah_single": 1, "niah_multivalue": 4}


def _items(experts: int, n: int = 20) -> list[dict[str, Any]]:
    """An item is as hard for every setting; an able one answers more of them, and fewer in 4,096
    tokens."""
    found = []
    for n_tokens in LENGTHS:
        for task, n_expected in TASKS.items():
            for k in range(n):
                hard = Random(f"{n_tokens} {task} {k}").random()
                luck = Random(f"{n_tokens} {task} {k} {experts}")
                able = ABLE[experts] - (0.3 if n_tokens == 4096 else 0)
                right = sum(0.8 * hard + 0.2 * luck.random() < able for _ in range(n_expected))
                item = {"task": task, "item": f"{n_tokens} {task} {k}", "n_tokens": n_tokens}
                found.append(item | {"n_prompt": n_tokens - 24, "score": right / n_expected})
    return found


def _record(make_record: Make, experts: int, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "workload": {"tasks": {"reference": {"n_expert_used": 8}}},
        "tasks": {"items": _items(experts)},
        "quality": None,
    }
    return make_record(n_ctx=4096, n_expert_used=experts, **(fields | changes))


@pytest.fixture
def asked(make_record: Make) -> list[Record]:
    """6, 8 and 10 experts."""
    return [_record(make_record, experts) for experts in (6, 8, 10)]


def _column(table: Table, name: str) -> list[str]:
    place = table.columns.index(name)
    return [row[place].text for row in table.rows]


def test_a_page_opens_with_who_answers_better(asked: list[Record]) -> None:
    lead = lead_of(Material(summaries=summaries_of(asked)))
    assert lead.question == QUESTIONS["tasks"]
    assert lead.headline.startswith("Tiny-8x192 answers ")
    assert "of 120 items right" in lead.headline
    assert "; 6 experts: -" in lead.headline
    assert lead.headline.endswith("), no difference shown"), "10 experts answer as 8 do"
    assert "; 10 experts: +" in lead.headline or "; 10 experts: -" in lead.headline
    (table,) = lead.tables
    assert table.caption.startswith("Against 8 experts, on the same items")
    assert _column(table, "what it shows") == ["worse", "no difference shown"]
    assert lead.figures == ("score-by-length",)


def test_the_headline_is_said_in_russian_too(asked: list[Record]) -> None:
    said = lead_of(Material(summaries=summaries_of(asked)), "ru").headline
    assert "разница не показана" in said
    assert "верный ответ" in said
    assert "," in said.partition("6 experts: ")[2][:8], "a Russian number"


def test_what_the_items_cannot_tell_stands_beneath(asked: list[Record]) -> None:
    basis = " ".join(lead_of(Material(summaries=summaries_of(asked))).basis)
    assert "120 items a setting, of 2 tasks at 3 lengths from 1,024 to 4,096 tokens" in basis
    assert "compare with no published score" in basis
    assert "That no difference is shown is no sign that there is none: with 120 pairs" in basis
    assert "is missed more often than once in five tries" in basis
    assert "cut into experts" not in basis


def test_the_cut_model_is_said_to_be_one(make_record: Make) -> None:
    model = make_record().model.model_copy(update={"name": SPLIT_NAME.partition(".")[0]})
    records = [_record(make_record, experts, model=model) for experts in (6, 8)]
    basis = " ".join(lead_of(Material(summaries=summaries_of(records))).basis)
    assert "says nothing of a model that was trained with experts" in basis


def test_comparisons_are_counted_and_lengths_told(asked: list[Record]) -> None:
    evidence = " ".join(lead_of(Material(summaries=summaries_of(asked))).evidence)
    assert "2 comparisons were made, and each p counts among all of them (Holm)" in evidence
    assert "Effective length: 2,048 tokens (" in evidence


def test_a_record_without_a_template_is_no_page_of_tasks(make_record: Make) -> None:
    record = make_record(tasks={"missing": "the model has no chat template"})
    assert kind_of(summaries_of([record])) != "tasks"
    cut = make_record(tasks={"items": _items(8)[:5], "missing": "the time was up"})
    lead = lead_of(Material(summaries=summaries_of([cut])))
    assert any("the time was up" in said for said in lead.evidence)
    assert lead.tables[-1].caption.startswith("Right answers by setting")


def test_tables_hold_what_the_records_do(asked: list[Record]) -> None:
    runs = task_runs(summaries_of(asked))
    pairs = compare_runs(runs)
    scores = scores_table(runs)
    assert scores.columns[:5] == ("setting", "1,024", "2,048", "4,096", "all")
    assert _column(scores, "items") == ["120"] * 3
    assert len(tasks_table(runs).rows) == 6
    table = pairs_table(pairs, runs)
    assert _column(table, "items that would show it")[0].isdigit()
    assert _column(table, "p among 2 (Holm)")[0] == "<0.001"
    assert _column(table, "hours")[0] == "—", "no rate was measured that deep"
    assert _column(lengths_table(runs), "beyond")[1:] == ["4,096 falls short"] * 2


def test_what_a_hundred_items_can_show() -> None:
    """The figures of docs/quality.md."""
    (row,) = power_table([100]).rows
    assert [cell.text for cell in row] == ["100", "none", "8.9", "12.8", "15.9", "18.2"]


def test_figures_are_one_call_each(asked: list[Record]) -> None:
    figure = oomph.plot_scores_by_length(asked)
    assert isinstance(figure, Figure)
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words == ["6 experts", "8 experts", "10 experts"]
    with pytest.raises(oomph.OomphError, match="nothing for the figure cost-by-position"):
        oomph.plot_cost_by_position(asked)


def test_of_many_settings_those_that_experts_tell_apart_are_drawn(make_record: Make) -> None:
    records = [
        _record(
            make_record,
            experts,
            record_id=f"{experts} {kind}",
            config={"n_ctx": 4096, "n_expert_used": experts, "type_k": kind},
            workload={"tasks": {"reference": {"n_expert_used": 8, "type_k": "f16"}}},
        )
        for experts in (6, 8, 10)
        for kind in ("q4_0", "q8_0", "f16")
    ]
    shown = shown_runs(task_runs(summaries_of(records)))
    assert list(shown) == ["6 experts", "8 experts", "10 experts"]
    assert {run.knobs["type_k"] for run in shown.values()} == {"f16"}


def _text(shift: float, n_pass: int = 257, **more: Any) -> dict[str, Any]:
    losses = [3 - place / 1000 + shift * (1 + place % 3) for place in range(1, n_pass)]
    said = {"text": "t", "n_tokens": n_pass - 1, "n_pass": n_pass, "nll_nats": losses}
    return said | {"tokens_sha256": "a"} | more


def _scored(make_record: Make, experts: int, shift: float, **changes: Any) -> Record:
    workload = {"text": {"file": None, "reference": {"n_expert_used": 8}}}
    fields = {"workload": workload, "quality": _text(shift), "record_id": f"t{experts}"}
    return make_record(n_expert_used=experts, **(fields | changes))


def test_what_a_setting_costs_by_position_is_drawn(make_record: Make) -> None:
    records = [_scored(make_record, 8, 0.0), _scored(make_record, 6, 0.1)]
    costs = costs_of(summaries_of(records))
    assert list(costs) == ["6 experts"]
    assert [each.first for each in costs["6 experts"]] == [1, 33, 65, 129]
    assert isinstance(oomph.plot_cost_by_position(records), Figure)


def test_what_a_longer_context_gains_is_tabled(make_record: Make) -> None:
    """Four passes of 65 tokens, and one of 260 in which a token's loss falls by 0.001 a token."""
    losses = [3 - (k % 64 + 1) / 1000 for k in range(256)]
    text = {"file": None}
    passes = _text(0, 65) | {"n_tokens": 256, "nll_nats": losses}
    short = make_record(n_ctx=1024, quality=passes, workload={"text": text})
    long = make_record(n_ctx=2048, quality=_text(0, 260), workload={"text": text})
    assert gains_table(summaries_of([short])).rows == ()
    first, second = gains_table(summaries_of([short, long])).rows
    assert [cell.text for cell in first] == [
        "65",
        "65 to 128",
        "63",
        "-0.065 (-0.065 to -0.065)",
        "0.937",
    ]
    assert second[-1].key is not None
    assert second[-1].key < 0.88


def test_what_is_beaten_in_quality_speed_and_memory_is_said(make_record: Make) -> None:
    """Fewer experts decode faster here and answer worse; with 10 it is slower for nothing."""
    records = [
        _scored(make_record, 6, 0.5),
        _scored(make_record, 8, 0.0),
        _scored(make_record, 10, 0.2),
    ]
    rows = {each.name: each for each in trades(summaries_of(records))}
    assert rows["10 experts"].is_beaten_by(rows["8 experts"])
    assert not rows["6 experts"].is_beaten_by(rows["8 experts"])
    table = pareto_table(summaries_of(records))
    assert _column(table, "in all three") == ["not beaten", "not beaten", "beaten by 8 experts"]
    bare = [record.model_copy(update={"timings": []}) for record in records]
    assert pareto_table(summaries_of(bare)).rows == (), "nothing to weigh up"


def test_a_chapter_has_all_of_it_once(asked: list[Record]) -> None:
    chapter = build_chapter(Material(summaries=summaries_of(asked)))
    (section,) = (each for each in chapter.sections if each.title == "Tasks over a long context")
    captions = [table.caption for table in section.tables]
    assert len(captions) == len(set(captions)) == 6
    assert [picture.name for picture in chapter.pictures] == ["score-by-length"]
    assert section.pictures == ()


def test_files_of_one_model_pair_over_chapters(make_record: Make) -> None:
    """The same tokens: the same ids, whatever the file."""
    first = make_record().model
    files = [
        first.model_copy(update={"path": f"m/{name}.gguf", "header_sha256": name, "file_bytes": n})
        for name, n in (("q4", 100), ("q8", 200))
    ]
    items = _items(8)
    worse = [item | {"score": 0.0} if k % 3 == 0 else item for k, item in enumerate(items)]
    records = [
        _record(make_record, 8, model=model, tasks={"items": own}, record_id=model.path)
        for model, own in zip(files, (worse, items), strict=True)
    ]
    report = build_report(summaries_of(records))
    front = report.chapters[0]
    assert front.title == "2 files on the same items"
    assert front.headline.startswith("Against q8.gguf on the same items: q4.gguf: -")
    assert front.headline.endswith("worse")
    assert len(report.chapters) == len(report.what_ifs) == 3
    other = _record(make_record, 8, model=files[0], tasks={"items": [items[0] | {"item": "x"}]})
    assert build_report(summaries_of([records[1], other])).chapters[0].title != front.title
