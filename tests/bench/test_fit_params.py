"""What llama.cpp's --fit chose on phantom cards, foretold again.

The rows of tests/data/fit_choices.jsonl were seen with llama-fit-params and llama-server 0.5.0
(`bench/peers/fit_params.py`); no program and no phantom is needed to hold a prediction against
them.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROWS = Path(__file__).parents[1] / "data" / "fit_choices.jsonl"
QUICK = ("qwen2.5", "qwen3-0.6b", "llama-3.", "mistral-small", "phi-4", "mixtral")
"""Dense models, and one whose layers are all alike: seconds for all of them."""


def rows(*, quick: bool) -> list[Any]:
    """The lines of the file, of quick models or of the others."""
    lines = ROWS.read_text().splitlines()
    return [n for n, line in enumerate(lines) if any(f'"{name}' in line for name in QUICK) is quick]


def held(number: int) -> None:
    """The row's choice is the one foretold."""
    case = import_module("fit_cases").read_cases(ROWS)[number]
    assert import_module("fit_params").difference(case) is None


@pytest.mark.parametrize("number", rows(quick=True))
def test_the_choice_is_foretold(number: int) -> None:
    held(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", rows(quick=False))
def test_the_choice_is_foretold_of_every_model(number: int) -> None:
    held(number)
