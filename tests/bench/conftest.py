"""The side-by-side benchmarks are programs beside the package: their modules are found by path."""

import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[2] / "bench" / "peers"


@pytest.fixture(autouse=True)
def peers_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python does for a program in that folder."""
    monkeypatch.syspath_prepend(str(PEERS))
    for name in (
        "embeddings",
        "fit_cases",
        "fit_params",
        "formulas",
        "memory",
        "memory_rows",
        "oracle",
        "tensor_split",
    ):
        monkeypatch.delitem(sys.modules, name, raising=False)
