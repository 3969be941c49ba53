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


@pytest.mark.phantom
@pytest.mark.llama
@pytest.mark.usefixtures("llama_server", "cuda_backend")
@pytest.mark.parametrize("number", [0, 11], ids=["a card", "no card"])
def test_the_server_allocates_as_it_did(number: int, tmp_path: Path) -> None:
    asked = import_module("embeddings")
    model, said = "bge-small-en-v1.5:Q8_0", asked.SAID[number]
    (seen,) = (row for row in ROWS if (row["model"], row["said"]) == (model, said))
    assert asked.run(model, said, tmp_path) == seen
