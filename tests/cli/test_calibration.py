"""Which coefficients `oomph estimate` takes, and that it says so."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oomph.calibrate.store import keep
from oomph.estimate.coefficients import default_coefficients
from oomph.gpus import gpu
from oomph.records.environment import llama_cpp_commit

Oomph = Callable[..., tuple[int, str, str]]
MODEL = "llama-3.2-3b:Q4_K_M"
CARD = gpu("RTX 4090")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A calibration of a card that is half as fast as its data sheet."""
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path))
    origin: dict[str, Any] = {
        "machines": ["rack-7"],
        "backends": ["cuda"],
        "card": CARD.name,
        "families": ["llama"],
        "llama_cpp_commits": [llama_cpp_commit()],
        "last": "2026-11-20T10:00:00+00:00",
    }
    shipped = default_coefficients()
    slow = {**shipped.cards, CARD.name: {"card.bandwidth_factor": 0.5, "card.compute_factor": 0.5}}
    return keep(dataclasses.replace(shipped, cards=slow, calibrated_on=origin).to_json())


def answer(oomph: Oomph, *args: object) -> dict[str, Any]:
    code, out, err = oomph("estimate", MODEL, *args, "--json")
    assert code == 0, err
    line: dict[str, Any] = json.loads(out)
    return line


def decode(line: dict[str, Any]) -> float:
    return float(line["speed"]["decode_tokens_per_s"])


def test_the_kept_calibration_is_used_and_named(oomph: Oomph, kept: Path) -> None:
    own, shipped = (
        answer(oomph, "--gpu", "4090"),
        answer(oomph, "--gpu", "4090", "--calibration", "none"),
    )
    assert (own["calibration"], shipped["calibration"]) == (str(kept), None)
    assert decode(own) < 0.7 * decode(shipped)
    _, out, _ = oomph("estimate", MODEL, "--gpu", "4090")
    assert f"calibration: {kept}" in out


def test_another_card_and_another_family_are_not_spoken_for(oomph: Oomph, kept: Path) -> None:
    assert answer(oomph, "--gpu", "3090")["calibration"] is None
    code, out, _ = oomph("estimate", "qwen3-4b:Q4_K_M", "--gpu", "4090", "--json")
    assert (code, json.loads(out)["calibration"]) == (0, None)


def test_a_file_that_is_named_goes_before_what_is_kept(
    oomph: Oomph, kept: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(default_coefficients().to_json(), encoding="utf-8")
    line = answer(oomph, "--gpu", "4090", "--calibration", file)
    assert line["calibration"] == str(file)
    assert decode(line) == decode(answer(oomph, "--gpu", "4090", "--calibration", "none"))
