"""A first day is judged again from its folder alone; the folder here is of a real card."""

from pathlib import Path

import pytest

from oomph.analysis.first_card.day import is_day, read_day
from oomph.errors import StoreError

REAL = "results/h200/first-card"
BUFFERS = ("weights_bytes", "kv_cache_bytes", "compute_bytes")


def test_the_published_day_of_a_real_card_is_read_without_one(repository: Path) -> None:
    day = read_day(repository / REAL)
    assert day.where == "NVIDIA H200"
    found = day.verdict
    assert found.is_sealed
    assert len(found.records) == 42
    assert all(record.outcome.label == "ok" for record in found.records)
    assert [stage.seen for stage in found.stages] == [stage.predicted for stage in found.stages]
    buffers = [each for each in found.errors if each.quantity in BUFFERS]
    assert len(buffers) == 3
    assert all(each.before and each.before.worst < 0.01 * 2**20 for each in buffers)


def test_a_sweep_is_no_day_and_an_empty_folder_says_so(repository: Path, tmp_path: Path) -> None:
    assert is_day(repository / REAL)
    assert not is_day(repository / "results/h200/quiet-ladder")
    with pytest.raises(StoreError, match="give it more --minutes"):
        read_day(tmp_path)
