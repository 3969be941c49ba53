"""The log-probabilities of a reference setting, kept for others to be compared with.

Stands apart because it is a format: the parent names the file, one process writes it, others read
it. A header says what it is of; a file that is of something else, or not whole, is no reference,
and the reason is said.
"""

import contextlib
import json
import os
from typing import Any

from oomph.measure.worker.protocol import Divergence, Reference

RANGE_NATS = 24.0
"""Below the likeliest word by more than this, words count as just this far: together less than 1e-5
of the mass."""
LEVELS = 65535
"""Log-probabilities are kept as 16-bit levels, as llama-perplexity's are, in steps of at most 24 /
65,535 nats. With 49,152 words a token's divergence moves by less than 3e-5 nats."""


def row_type(n_vocab: int) -> Any:
    """One token's log-probabilities: `low + step * level`."""
    import numpy as np

    return np.dtype([("low", "<f4"), ("step", "<f4"), ("level", "<u2", (n_vocab,))])


def pack(log_probs: Any) -> Any:
    """Rows of `row_type` for an array (tokens, words) in nats."""
    import numpy as np

    high = log_probs.max(axis=1)
    low = np.maximum(log_probs.min(axis=1), high - RANGE_NATS)
    step = np.maximum((high - low) / LEVELS, np.finfo(np.float32).tiny)
    rows = np.empty(len(log_probs), row_type(log_probs.shape[1]))
    rows["low"], rows["step"] = low, step
    rows["level"] = np.rint((np.maximum(log_probs, low[:, None]) - low[:, None]) / step[:, None])
    return rows


def unpack(rows: Any) -> Any:
    """The log-probabilities in nats, made to sum to one again after the rounding."""
    import numpy as np

    nats = rows["low"][:, None] + rows["step"][:, None] * rows["level"].astype(np.float32)
    return nats - np.log(np.exp(nats).sum(axis=1, dtype=np.float64)).astype(np.float32)[:, None]


def divergence(reference: Any, log_probs: Any) -> Any:
    """Kullback-Leibler divergence of `log_probs` from `reference`, token by token, in nats."""
    import numpy as np

    return (np.exp(reference) * (reference - log_probs)).sum(axis=1, dtype=np.float64)


def heading(tokens_sha256: str, n_rows: int, n_pass: int, n_vocab: int) -> bytes:
    """The first line of a file: what its rows are of."""
    said = {"tokens_sha256": tokens_sha256, "n_rows": n_rows, "n_pass": n_pass, "n_vocab": n_vocab}
    return json.dumps(said).encode() + b"\n"


class Keeper:
    """Writes a reference's log-probabilities; the file stands under its name once it is whole."""

    def __init__(self, path: str, head: bytes) -> None:
        self._path, self._part = path, f"{path}.{os.getpid()}.part"
        self._problem: str | None = None
        self._append(head)

    def take(self, log_probs: Any) -> None:
        """The next tokens' log-probabilities."""
        self._append(pack(log_probs).tobytes())

    def result(self) -> Divergence:
        """What the record says: nothing, or why the file could not be kept."""
        if self._problem is None:
            os.replace(self._part, self._path)
        return {"kl_missing": self._problem}

    def _append(self, data: bytes) -> None:
        if self._problem:
            return
        try:
            with open(self._part, "ab") as file:
                file.write(data)
        except OSError as error:  # a full disk costs the comparison, not the score
            self._problem = f"the reference could not be kept ({error.strerror})"
            with contextlib.suppress(OSError):
                os.unlink(self._part)


class Comparer:
    """Reads a reference's log-probabilities beside a setting's own."""

    def __init__(self, rows: Any) -> None:
        self._rows, self._nats, self._n_same_top = rows, list[float](), 0

    def take(self, log_probs: Any) -> None:
        """The next tokens' log-probabilities."""
        first = len(self._nats)
        reference = unpack(self._rows[first : first + len(log_probs)])
        self._nats.extend(divergence(reference, log_probs).tolist())
        self._n_same_top += int((reference.argmax(axis=1) == log_probs.argmax(axis=1)).sum())

    def result(self) -> Divergence:
        """The divergence of each token, and how many have the same likeliest word."""
        return {
            "kl_nats": [round(value, 7) for value in self._nats],
            "n_same_top": self._n_same_top,
        }


class Nobody:
    """Stands in where there is nothing to compare with; `problem` is why, None where nobody
    asked."""

    def __init__(self, problem: str | None = None) -> None:
        self._problem = problem

    def take(self, log_probs: Any) -> None:
        """Nothing."""

    def result(self) -> Divergence:
        """Why there is no divergence."""
        return {"kl_missing": self._problem}


def open_reference(
    asked: Reference | None, head: bytes, *, n_rows: int, n_vocab: int
) -> Keeper | Comparer | Nobody:
    """What takes the log-probabilities of a text.

    `asked` has the file's `path` and whether this setting is the reference (`keep`); `n_rows` is
    how many tokens of the text will be scored.
    """
    import numpy as np

    if asked is None:
        return Nobody()
    if asked["keep"]:
        return Keeper(asked["path"], head)
    kind = row_type(n_vocab)
    try:
        with open(asked["path"], "rb") as file:
            is_ours = file.read(len(head)) == head
            n_bytes = os.fstat(file.fileno()).st_size
    except OSError:
        return Nobody(
            "the reference's log-probabilities are not there: it failed, or its file was deleted"
        )
    if not is_ours or n_bytes != len(head) + n_rows * kind.itemsize:
        return Nobody(
            "the file of the reference's log-probabilities is of another text, or not whole"
        )
    return Comparer(np.memmap(asked["path"], kind, "r", offset=len(head), shape=(n_rows,)))
