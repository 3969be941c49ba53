"""What llama-server allocated for embeddings and scores, foretold again.

The rows of tests/data/embeddings.jsonl were seen with llama-server 0.5.0 on phantom cards and on
the CPU (`bench/peers/embeddings.py`), on sparse files of published shapes.
"""

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

ROWS: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "embeddings.jsonl").read_text().splitlines()
]
MODELS: Final = tuple(dict.fromkeys(row["model"] for row in ROWS))


@pytest.mark.parametrize("model", MODELS)
def test_every_size_is_the_one_allocated(model: str) -> None:
    differences = import_module("embeddings").differences
    for row in ROWS:
        if row["model"] == model:
            assert list(differences(row)) == [], row["said"]


def test_the_rows_hold_every_encoder_and_what_is_refused() -> None:
    asked = import_module("embeddings")
    assert len(ROWS) == len(asked.MODELS) * len(asked.SAID) + len(asked.BESIDES)
    assert sum("failed" in row for row in ROWS) == 4
