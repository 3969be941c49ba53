"""The tables of quality: ratios beside the reference, facts by depth, and what is missing said."""

from collections.abc import Callable
from typing import Any

from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.units import NOT_MEASURED
from oomph.views.quality import quality_table, recall_table
from oomph.views.table import render_markdown
from oomph.views.tables import experts_table

Make = Callable[..., Record]
NATS = [3.0, 2.0, 4.0, 3.0]


def _scored(make_record: Make, experts: int, shift: float, **quality: Any) -> Record:
    return make_record(
        n_expert_used=experts,
        record_id=f"q{experts}",
        workload={"text": {"reference": {"n_expert_used": 8}}},
        quality={
            "text": "t",
            "n_tokens": 4,
            "n_pass": 5,
            "nll_nats": [v + shift for v in NATS],
            **quality,
        },
    )


def _rows(markdown: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()[2:]
    ]


def test_each_setting_stands_beside_the_reference(make_record: Make) -> None:
    records = [
        _scored(make_record, 8, 0.0),
        _scored(make_record, 6, 0.2, kl_nats=[0.1, 0.1, 0.1, 0.1], n_same_top=3),
        _scored(make_record, 4, 0.5, kl_missing="the reference's log-probabilities are not there"),
    ]
    table = quality_table(summaries_of(records))
    names = dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))
    assert [cell.text for cell in names["ratio to reference"]] == [
        NOT_MEASURED,
        "1.221 (1.221 to 1.221)",
        "1.649 (1.649 to 1.649)",
    ]
    assert [cell.text for cell in names["KL divergence, nats"]] == [
        NOT_MEASURED,
        "0.1000 ± 0.0000",
        NOT_MEASURED,
    ]
    assert [cell.text for cell in names["same top token"]][1:] == ["75.0 %", NOT_MEASURED]
    assert [cell.text for cell in names["remarks"]] == [
        "the reference",
        "",
        "the reference's log-probabilities are not there",
    ]
    by_experts = experts_table(summaries_of(records))
    column = by_experts.columns.index("ratio to reference")
    ratios = [row[column].text for row in by_experts.rows]
    assert ratios == ["1.649 (1.649 to 1.649)", "1.221 (1.221 to 1.221)", NOT_MEASURED]


def test_a_sweep_without_a_reference_has_no_table_of_costs(records: list[Record]) -> None:
    assert quality_table(summaries_of(records)).rows == ()
    assert recall_table(summaries_of(records)).rows == ()


def _needle(depth: float, n_after: int, found: bool) -> dict[str, Any]:
    return {
        "depth": depth,
        "n_before": 1,
        "n_after": n_after,
        "expected": "1",
        "answer": "",
        "found": found,
    }


def test_facts_are_counted_by_depth(make_record: Make) -> None:
    asked = make_record(
        recall={"needles": [_needle(0, 900, True), _needle(0, 920, False), _needle(1, 30, True)]}
    )
    silent = make_record(
        n_expert_used=6, recall={"missing": "the model has no chat template that llama.cpp knows"}
    )
    (first, second) = _rows(render_markdown(recall_table(summaries_of([asked, silent]))))
    assert first[2:] == ["1 of 2 (910)", "1 of 1 (30)", "2 of 3", ""]
    assert second[2:] == [
        *[NOT_MEASURED] * 3,
        "the model has no chat template that llama.cpp knows",
    ]
