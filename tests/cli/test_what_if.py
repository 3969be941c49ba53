"""`oomph what-if`: one file for one model, from its header alone."""

from collections.abc import Callable
from pathlib import Path

Oomph = Callable[..., tuple[int, str, str]]


def test_a_page_is_written_for_a_model_that_nobody_has(oomph: Oomph, tmp_path: Path) -> None:
    path = tmp_path / "ask.html"
    code, out, err = oomph(
        "what-if", "smollm2-135m:Q8_0", "--gpu", "RTX 3060", "--n-ctx", 2048, "--out", path
    )
    assert code == 0, err
    assert out.strip() == str(path)
    page = path.read_text(encoding="utf-8")
    assert "<title>What if: smollm2-135m" in page
    assert "on NVIDIA GeForce RTX 3060" in page


def test_a_page_that_cannot_be_written_says_so(oomph: Oomph, tmp_path: Path) -> None:
    code, _, err = oomph(
        "what-if", "smollm2-135m:Q8_0", "--gpu", "RTX 3060", "--out", tmp_path / "none" / "ask.html"
    )
    assert code == 2
    assert "name another file with --out" in err
