"""Buffers of a second context beside the model, as llama-server 0.5.0 had them on phantom cards.

The rows of tests/data/contexts.jsonl were written by bench/peers/contexts.py: MTP heads and draft
models, beside hybrid, dense and MoE models, with several slots, cards and cache types.
"""

import json
from importlib import import_module
from pathlib import Path

import pytest

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "contexts.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_buffers_of_each_context_are_foretold(number: int) -> None:
    assert list(import_module("contexts").differences(ROWS[number])) == []


def test_rows_are_of_the_cases_that_are_run() -> None:
    run = [(tuple(row["cards_mib"]), row["words"]) for row in ROWS]
    assert run == list(import_module("contexts").CASES)
