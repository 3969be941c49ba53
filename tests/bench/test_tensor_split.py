"""What each card took with --split-mode tensor on phantom cards, foretold again to the byte.

The rows of tests/data/tensor_split.jsonl were seen with llama-server 0.5.0
(`bench/peers/tensor_split.py`), those that it refused or that made it abort among them; no program
and no phantom is needed to hold a prediction against them.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROWS = Path(__file__).parents[1] / "data" / "tensor_split.jsonl"
QUICK = ("qwen2.5", "qwen3-0.6b", "llama-3.", "gemma-3-1b", "lfm2-1.2b", "olmo", "deepseek-v2")
"""Small models and those that are refused: seconds for all of them."""


def rows(*, quick: bool) -> list[Any]:
    """The lines of the file, of quick models or of the others."""
    lines = ROWS.read_text().splitlines()
    return [n for n, line in enumerate(lines) if any(f'"{name}' in line for name in QUICK) is quick]


def held(number: int) -> None:
    """The row's buffers and every byte of each card are those foretold, or both refuse."""
    case = import_module("fit_cases").read_cases(ROWS)[number]
    assert import_module("tensor_split").difference(case) is None


@pytest.mark.parametrize("number", rows(quick=True))
def test_every_byte_is_foretold(number: int) -> None:
    held(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", rows(quick=False))
def test_every_byte_is_foretold_of_every_model(number: int) -> None:
    held(number)


def test_a_row_that_took_otherwise_is_told() -> None:
    peer, cases = import_module("tensor_split"), import_module("fit_cases").read_cases(ROWS)
    case = next(case for case in cases if "died" not in case.chose and len(case.cards_mib) == 2)
    live = case.chose["live_bytes"]
    case.chose["live_bytes"] = [live[0], live[1] + 128]
    assert "CUDA1" in peer.difference(case)
    case.chose["died"] = "GGML_ASSERT"
    assert peer.difference(case) == "died: GGML_ASSERT"
