"""What tests of texts share: golden files, the figures of a text, and speeds that no new
coefficients move."""

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import MemoryEstimate, SlotsSpeed, SpeedEstimate

Golden = Callable[[str, str], None]
Figures = Callable[[str], Counter[str]]


def made_up_speed(
    _: Estimator, config: RunConfig, *, memory: MemoryEstimate | None = None
) -> SpeedEstimate:
    """In the place of `Estimator.speed`: slower the deeper, by a law of its own."""
    on_host = config.n_cpu_moe / 8 + (5 if config.n_gpu_layers >= 0 else 0)
    slower = 1 + config.n_depth / 32_768 + on_host
    prefill, decode = 4000 / slower, 200 / slower
    n_slots, together = config.n_seq_max, 0.5 * config.n_seq_max * decode
    slots = SlotsSpeed(
        n_slots=n_slots,
        n_depth=min(config.n_depth, config.n_ctx // n_slots),
        decode_tokens_per_s=together,
        decode_interval_90=(0.9 * together, 1.11 * together),
    )
    return SpeedEstimate(
        prefill_tokens_per_s=prefill,
        decode_tokens_per_s=decode,
        prefill_interval_90=(0.8 * prefill, 1.25 * prefill),
        decode_interval_90=(0.9 * decode, 1.11 * decode),
        slots=slots if n_slots > 1 else None,
    )


@pytest.fixture
def _steady_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oomph.estimate.estimator.Estimator.speed", made_up_speed)
    read = (20_000.0, (16_000.0, 25_000.0))
    monkeypatch.setattr("oomph.estimate.estimator.predict_input_speed", lambda *_, **__: read)


@pytest.fixture
def figures() -> Figures:
    """Every number of a text with how often it is there, spelled without thousands separators and
    with a point."""

    def find(text: str) -> Counter[str]:
        text = re.sub(r"(?<=\d)[,\u00a0](?=\d{3}(?!\d))", "", text)
        return Counter(found.replace(",", ".") for found in re.findall(r"\d+(?:[.,]\d+)?", text))

    return find


@pytest.fixture
def golden(repository: Path) -> Golden:
    """Holds a text against `tests/golden/NAME`; with WRITE_GOLDEN=1 it becomes the file."""

    def hold(name: str, text: str) -> None:
        path = repository / "tests" / "golden" / "texts" / name
        if os.environ.get("WRITE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return hold
