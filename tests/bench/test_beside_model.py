"""Buffers of a model, its projector and its adapters, as llama-server had them on phantom cards.

The rows of tests/data/beside.jsonl were written by bench/peers/beside_model.py.
"""

import json
from importlib import import_module
from pathlib import Path

import pytest

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "beside.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["words"])
def test_buffers_of_the_model_and_of_what_is_beside_it_are_foretold(row: dict[str, object]) -> None:
    assert list(import_module("beside_model").differences(row)) == []


def test_rows_are_of_the_cases_that_are_run() -> None:
    run = [(tuple(row["cards_mib"]), row["words"]) for row in ROWS]
    assert run == list(import_module("beside_model").CASES)
    assert all(row["loads"] for row in ROWS)
