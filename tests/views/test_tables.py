"""What tables say, and that untrusted text stays text in each of their forms."""

import io
from collections.abc import Callable

import pytest

from oomph.estimate.prediction import Prediction
from oomph.records.schema import Conditions, Record
from oomph.records.summary import summaries_of
from oomph.units import NOT_MEASURED
from oomph.views.table import (
    Cell,
    Table,
    escape_markdown,
    number,
    render_markdown,
    render_rich,
    trim,
)
from oomph.views.tables import experts_table, machine_table, outcomes_table, points_table

Make = Callable[..., Record]


def _column(table: Table, name: str) -> list[str]:
    return [row[table.columns.index(name)].text for row in table.rows]


def test_every_point_is_a_row_and_only_knobs_that_vary_are_columns(
    records: list[Record], predictions: dict[str, Prediction]
) -> None:
    table = points_table(summaries_of(records), predictions)
    assert len(table.rows) == len(records)
    assert table.columns[:3] == ("n_ctx", "n_expert_used", "limit MiB")
    assert _column(table, "n_ctx")[:3] == ["1,024", "2,048", "4,096"]
    assert _column(table, "buffers MiB")[0] == "225"
    assert _column(table, "predicted MiB")[-1] == "314"
    assert _column(table, "outcome")[-2:] == ["oom_kv", "oom_kv"]
    assert _column(table, "prefill t/s")[-1] == NOT_MEASURED


def test_the_summary_has_one_row_for_each_number_of_experts(
    records: list[Record], make_record: Make
) -> None:
    table = experts_table(summaries_of(records))
    assert _column(table, "n_expert_used") == ["4", "6", "8"]
    assert _column(table, "memory MiB") == ["225 to 316"] * 3
    assert _column(table, "decode t/s at depth")[2] == "50 @ 2,048"
    assert _column(table, "outcomes") == ["3 ok", "3 ok", "3 ok, 2 oom_kv"]
    assert _column(
        experts_table(summaries_of([make_record(n_expert_used=None)])), "n_expert_used"
    ) == ["not set"]


@pytest.mark.parametrize("build", [lambda s: points_table(s, {}), experts_table, outcomes_table])
def test_a_disturbed_point_says_so_in_every_table(
    build, make_record: Make, make_failure: Make
) -> None:
    throttled = {"throttle_reasons": ["hw_thermal_slowdown"]}
    failure = make_failure(n_ctx=2048)
    failure = failure.model_copy(update={"conditions": Conditions(**throttled)})
    table = build(summaries_of([make_record(conditions=throttled), failure]))
    assert all("throttled" in text for text in _column(table, "remarks"))


def test_outcomes_give_the_line_of_the_log_and_the_next_step(records: list[Record]) -> None:
    table = outcomes_table(summaries_of(records))
    assert _column(table, "outcome") == ["oom_kv", "oom_kv"]
    assert (
        _column(table, "what the log says")[0]
        == "llama_kv_cache: failed to allocate buffer for kv cache"
    )
    assert _column(table, "what to do")[0] == "lower n_ctx"
    assert outcomes_table(summaries_of(records[:3])).rows == ()


def test_the_machine_is_told_without_the_folders_of_its_owner(make_record: Make) -> None:
    table = machine_table(make_record())
    facts = dict(zip(_column(table, "what"), _column(table, "value"), strict=True))
    assert facts["file"] == "tiny.gguf"
    assert facts["packages"] == "numpy 2.0, oomph 0.1.0"
    assert "driver" not in facts
    assert not any("/home/me" in value for value in facts.values())


def test_columns_in_which_nothing_is_said_are_left_out() -> None:
    table = Table(
        caption="c", columns=("a", "b", "c"), rows=((Cell("x"), Cell(NOT_MEASURED), Cell("")),)
    )
    assert trim(table).columns == ("a",)
    assert render_markdown(table) == "| a |\n| --- |\n| x |\n"


def test_markdown_sets_numbers_flush_right_and_lets_no_cell_break_out() -> None:
    rows = ((number(1234.5), Cell("a|b\n<script>`x`[y](z)*")), (Cell(NOT_MEASURED), Cell("&")))
    table = Table(caption="c", columns=("n", "text"), rows=rows)
    assert render_markdown(table).splitlines() == [
        "| n | text |",
        "| ---: | --- |",
        "| 1,234 | a\\|b\\\\n&lt;script>\\`x\\`\\[y](z)\\* |",
        "| — | &amp; |",
    ]
    assert escape_markdown("back\\slash") == "back\\\\slash"


def test_a_terminal_shows_markup_in_names_as_text() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=80)
    console.print(
        render_rich(Table(caption="c", columns=("name",), rows=((Cell("[red]loud[/red]"),),)))
    )
    assert "[red]loud[/red]" in console.file.getvalue()
