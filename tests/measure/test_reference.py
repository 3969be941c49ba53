"""A reference's log-probabilities in 16 bits: what rounding costs, and what is no reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.measure.worker.reference import (
    Comparer,
    Keeper,
    Nobody,
    divergence,
    heading,
    open_reference,
    pack,
    unpack,
)

N_VOCAB = 5000
HEAD = heading("ab" * 32, 6, 4, N_VOCAB)


def _log_probs(seed: int, *, spread: float, n_tokens: int = 6) -> Any:
    logits = np.random.default_rng(seed).normal(0, spread, (n_tokens, N_VOCAB)).astype(np.float32)
    return logits - np.log(np.exp(logits.astype(np.float64)).sum(axis=1))[:, None].astype(
        np.float32
    )


def _exact(reference: Any, log_probs: Any) -> Any:
    wide = reference.astype(np.float64)
    return (np.exp(wide) * (wide - log_probs)).sum(axis=1)


@given(
    st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 3.0, 8.0]), st.sampled_from([0.0, 0.1, 1.0])
)
def test_rounding_moves_a_divergence_by_less_than_a_ten_thousandth(
    seed: int, spread: float, noise: float
) -> None:
    reference = _log_probs(seed, spread=spread)
    other = reference + np.random.default_rng(seed).normal(0, noise, reference.shape).astype(
        np.float32
    )
    other -= np.log(np.exp(other.astype(np.float64)).sum(axis=1))[:, None].astype(np.float32)
    found = divergence(unpack(pack(reference)), other)
    assert np.abs(found - _exact(reference, other)).max() < 1e-4


def test_a_row_of_equal_words_is_kept() -> None:
    even = np.full((2, N_VOCAB), -np.log(N_VOCAB), np.float32)
    assert unpack(pack(even)) == pytest.approx(even, abs=1e-4)


def _asked(path: Path, *, keep: bool) -> dict[str, Any]:
    return {"path": str(path), "keep": keep}


def test_what_one_keeps_another_is_compared_with(tmp_path: Path) -> None:
    path, reference, other = tmp_path / "r", _log_probs(1, spread=3), _log_probs(2, spread=3)
    keeper = open_reference(_asked(path, keep=True), HEAD, n_rows=6, n_vocab=N_VOCAB)
    keeper.take(reference[:4])
    assert not path.exists(), "only a whole file has its name"
    keeper.take(reference[4:])
    assert keeper.result() == {"kl_missing": None}
    assert [file.name for file in tmp_path.iterdir()] == ["r"]
    comparer = open_reference(_asked(path, keep=False), HEAD, n_rows=6, n_vocab=N_VOCAB)
    comparer.take(other[:1])
    comparer.take(other[1:])
    said = comparer.result()
    assert said["kl_nats"] == pytest.approx(_exact(reference, other), abs=3e-4)
    assert said["n_same_top"] == (reference.argmax(axis=1) == other.argmax(axis=1)).sum()


@pytest.mark.parametrize(
    ("head", "spoil", "reason"),
    [
        (HEAD, lambda data: data[:-1], "not whole"),
        (HEAD, lambda data: data + b"x", "not whole"),
        (heading("cd" * 32, 6, 4, N_VOCAB), lambda data: data, "of another text"),
        (heading("ab" * 32, 6, 3, N_VOCAB), lambda data: data, "of another text"),
        (HEAD, lambda data: b"", "not whole"),
    ],
)
def test_another_text_or_a_torn_file_is_no_reference(
    tmp_path: Path, head: bytes, spoil: Any, reason: str
) -> None:
    keeper = Keeper(str(tmp_path / "r"), HEAD)
    keeper.take(_log_probs(1, spread=3))
    keeper.result()
    (tmp_path / "r").write_bytes(spoil((tmp_path / "r").read_bytes()))
    found = open_reference(_asked(tmp_path / "r", keep=False), head, n_rows=6, n_vocab=N_VOCAB)
    assert isinstance(found, Nobody)
    assert reason in str(found.result()["kl_missing"])


def test_a_file_that_is_not_there_or_cannot_be_written_is_said(tmp_path: Path) -> None:
    missing = open_reference(_asked(tmp_path / "none", keep=False), HEAD, n_rows=6, n_vocab=N_VOCAB)
    missing.take(_log_probs(1, spread=1))
    assert "not there" in missing.result()["kl_missing"]
    keeper = open_reference(
        _asked(tmp_path / "no" / "folder", keep=True), HEAD, n_rows=6, n_vocab=N_VOCAB
    )
    keeper.take(_log_probs(1, spread=1))
    assert keeper.result() == {
        "kl_missing": "the reference could not be kept (No such file or directory)"
    }
    nobody = open_reference(None, HEAD, n_rows=6, n_vocab=N_VOCAB)
    assert nobody.result() == {"kl_missing": None}
    assert not isinstance(nobody, Comparer)
