"""Kept calibrations: the newest of the same card, build and family speaks, another never does."""

import json
from pathlib import Path
from typing import Any

import pytest

from oomph.calibrate.store import calibrations_folder, keep, newest_matching
from oomph.estimate.coefficients import Coefficients, default_coefficients

ORIGIN: dict[str, Any] = {
    "machines": ["here"],
    "backends": ["cuda"],
    "llama_cpp_commits": ["c0ffee"],
    "card": "A card",
    "families": ["llama"],
    "last": "2026-11-20T10:00:00+00:00",
}
QUESTION: dict[str, Any] = {
    "card": "A card",
    "arch": "llama",
    "machine": "elsewhere",
    "commit": "c0ffee",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path))
    return tmp_path


def calibration(**origin: Any) -> str:
    return Coefficients(
        values=default_coefficients().values, calibrated_on=ORIGIN | origin
    ).to_json()


def test_without_a_folder_nothing_matches() -> None:
    assert newest_matching(**QUESTION) is None


def test_the_newest_speaks() -> None:
    for machine, day in (("a", 20), ("c", 22), ("b", 21)):
        keep(calibration(machines=[machine], last=f"2026-11-{day}T10:00:00+00:00"))
    kept = newest_matching(**QUESTION)
    assert kept is not None
    assert kept.coefficients.calibrated_on["machines"] == ["c"]
    assert kept.path.parent == calibrations_folder()


@pytest.mark.parametrize(
    "other", [{"card": "Another card"}, {"arch": "qwen3moe"}, {"commit": "decade"}, {"card": None}]
)
def test_another_card_family_or_build_does_not_match(other: dict[str, Any]) -> None:
    keep(calibration())
    assert newest_matching(**QUESTION) is not None
    assert newest_matching(**QUESTION | other) is None


def test_without_llama_cpp_any_build_will_do() -> None:
    keep(calibration())
    assert newest_matching(**QUESTION | {"commit": None}) is not None


def test_without_a_card_it_must_be_this_machine() -> None:
    keep(calibration(card=None, backends=["cpu"]))
    assert newest_matching(**QUESTION | {"card": None}) is None
    assert newest_matching(**QUESTION | {"card": None, "machine": "here"}) is not None


def test_a_phantoms_calibration_speaks_for_no_card() -> None:
    keep(calibration(backends=["phantom"]))
    assert newest_matching(**QUESTION) is None


def test_one_of_the_same_machine_card_and_build_is_replaced() -> None:
    assert keep(calibration()) == keep(calibration(last="2026-11-21T10:00:00+00:00"))
    assert len(list(calibrations_folder().iterdir())) == 1


def test_a_file_of_another_layout_is_passed_over() -> None:
    keep(calibration())
    (calibrations_folder() / "z.json").write_text(json.dumps({"format": 99}), encoding="utf-8")
    assert newest_matching(**QUESTION) is not None
