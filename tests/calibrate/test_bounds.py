"""Bounds that `oomph verify` has learned are kept by build and by where it ran."""

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
    for broken in ("no JSON", "[]", '{"b12000 cpu": {"compute_share": "much"}}'):
        bounds_file().write_text(broken)
        assert learned_share(12_000, has_cards=False) is None
