"""What the dry runs of two builds of llama.cpp counted on the CPU, foretold again.

The rows of tests/data/builds.jsonl are of llama-cpp-python 0.3.36 (b11330) and of b11549, which
were asked with nothing allocated (`bench/peers/builds.py`), on sparse files of published shapes.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

ROWS: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "builds.jsonl").read_text().splitlines()
]
MODELS: Final = tuple(dict.fromkeys(row["model"] for row in ROWS))
NOT_YET: Final = {("gemma-4-e4b", 11549, 8)}
"""Model, build and n_seq_max of the one row whose compute buffer is predicted 13 MiB too large."""


def is_replayed(row: dict[str, Any]) -> bool:
    """All of the newer build, and each model's first of the older, which other tests hold too."""
    return row["build"] == 11549 or row["knobs"] == {"n_ctx": 4096}


def is_known(row: dict[str, Any]) -> bool:
    return (row["model"], row["build"], row["knobs"].get("n_seq_max", 1)) not in NOT_YET


@pytest.mark.parametrize("model", MODELS)
def test_every_size_is_the_one_counted(model: str) -> None:
    differences = import_module("builds").differences
    for row in ROWS:
        if row["model"] == model and is_replayed(row):
            assert (list(differences(row)) == []) == is_known(row), row


def test_both_builds_were_asked_everything_and_every_model_moved() -> None:
    asked = import_module("builds")
    assert len(ROWS) == 2 * len(asked.MODELS) * len(asked.SETTINGS)
    first = [row for row in ROWS if row["knobs"] == asked.SETTINGS[0]]
    moved = {row["model"]: row["compute_mib"] for row in first if row["build"] == 11549}
    assert all(moved[row["model"]] != row["compute_mib"] for row in first if row["build"] == 11330)
