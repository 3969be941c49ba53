"""Architectures one by one: each size that llama.cpp 0.5.0's CUDA backend allocated on phantom
cards (bench/peers/architectures.py, whose rows these are)."""

from itertools import groupby
from typing import Any, Final

import pytest
from bench.peers.architectures import differences, kept_rows

ROWS: Final[dict[str, list[dict[str, Any]]]] = {
    model: list(rows) for model, rows in groupby(kept_rows(), key=lambda row: row["model"])
}


@pytest.mark.parametrize("model", ROWS)
def test_sizes_are_those_allocated(model: str) -> None:
    found = {str(row["said"]): list(differences(row)) for row in ROWS[model]}
    assert len(found) > 1
    assert not any(found.values()), found
