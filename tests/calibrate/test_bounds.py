"""Bounds that `oomph verify` has learned are kept by build and by where it ran."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.calibrate.bounds import bounds_file, keep_bound, learned_share


def test_a_bound_is_kept_for_its_build_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    assert learned_share(12_000, has_cards=False) is None
    keep_bound(12_000, 0.25, ["a"], has_cards=False)
    keep_bound(12_001, 0.0, ["a", "b"], has_cards=True)
    assert learned_share(12_000, has_cards=False) == 0.25
    assert learned_share(12_000, has_cards=True) is None
    assert learned_share(12_001, has_cards=True) == 0.0


@pytest.mark.parametrize("share", ['"much"', "NaN", "Infinity", "-1", "1e300", "true", "null"])
def test_a_share_that_cannot_be_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path))
    bounds_file().write_text(f'{{"b12000 cpu": {{"compute_share": {share}}}}}')
    assert learned_share(12_000, has_cards=False) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("no JSON"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
    ],
    ids=["text", "list", "deep", "noise", "folder", "fifo", "endless", "loop"],
)
@pytest.mark.timeout(20)
def test_a_file_that_somebody_has_broken_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], object]
) -> None:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path))
    spoil(bounds_file())
    assert learned_share(12_000, has_cards=False) is None
