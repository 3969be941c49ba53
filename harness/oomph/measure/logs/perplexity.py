"""What llama-perplexity printed of a text: its chunks, the whole, and the KL divergence.

Formats are those of llama.cpp's tools/perplexity/perplexity.cpp. A log holds running perplexities,
from which each chunk's own follows; of a chunk of n_ctx tokens the second half is judged.
"""

import math
import re
from pathlib import Path
from typing import Any, Final

from oomph.errors import StoreError
from oomph.foreign import read_bytes
from oomph.frozen import frozen

MAX_BYTES: Final = 64 << 20
MOST_CHUNKS: Final = 1_000_000
TEXT: Final = "llama-perplexity's input"
"""The log does not name its file, so that no two texts are taken for one."""
_NUMBER: Final = r"(-?[0-9]{1,12}\.[0-9]{1,9})"
_OVER: Final = re.compile(
    r"(?:calculating perplexity|computing) over ([0-9]{1,9}) chunks, n_ctx=([0-9]{1,9})"
)
_CHUNK: Final = re.compile(r"\[([0-9]{1,7})\]([0-9]{1,12}\.[0-9]{1,9}|-?nan|-?inf),")
_KL_CHUNK: Final = re.compile(
    r"^ {0,6}([0-9]{1,7}) {4}" + " {0,12}" + _NUMBER + " ± ", re.MULTILINE
)
_FIRST: Final = re.compile(r"^\[1\][0-9]{1,12}\.[0-9]{4},")
_FINAL: Final = re.compile(r"Final estimate: PPL = " + _NUMBER + r" \+/- " + _NUMBER)
_STATISTICS: Final = {
    "perplexity": r"Mean PPL\(Q\) {1,40}: {1,12}",
    "reference_perplexity": r"Mean PPL\(base\) {1,40}: {1,12}",
    "perplexity_ratio": r"Mean PPL\(Q\)/PPL\(base\) {1,40}: {1,12}",
    "divergence_nats": r"Mean    KLD: {1,12}",
    "same_top_percent": r"Same top p: {1,12}",
}
_WITH_ERROR: Final = _NUMBER + " ± {1,12}(?:" + _NUMBER + "|-?nan)"
"""An error is none where two texts are scored alike."""


@frozen
class TextScored:
    """A text as llama-perplexity scored it: the sum of negative log-likelihoods of each chunk in
    nats, or one sum of all where chunks were not printed, the tokens that were judged, and figures
    as they were printed, with their errors."""

    n_ctx: int
    n_chunks: int
    chunk_nats: tuple[float, ...]
    n_tokens: int
    printed: dict[str, float]

    def quality(self) -> dict[str, Any]:
        """As a record holds it."""
        share = self.printed.get("same_top_percent")
        same = None if share is None else round(share / 100 * self.n_tokens)
        kept = {"n_same_top": same} if same is not None else {}
        return {
            "text": TEXT,
            "n_tokens": self.n_tokens,
            "nll_nats": [round(nats, 5) for nats in self.chunk_nats],
            **kept,
        }

    def workload(self) -> dict[str, Any]:
        """What it was and what it printed of the whole, for a record to keep."""
        return {
            "llama-perplexity": {"n_ctx": self.n_ctx, "n_chunks": self.n_chunks, **self.printed}
        }


def is_scored(head: str) -> bool:
    """Whether a log's text is of llama-perplexity."""
    return bool(_OVER.search(head) or _FINAL.search(head) or _FIRST.match(head))


def read_scored(path: Path) -> TextScored | None:
    """The text that a log tells of; None where it tells of none.

    StoreError where a figure is none, where the chunks do not follow each other, and where nothing
    says how long they are.
    """
    data = read_bytes(path, error=StoreError, remedy="give a shorter log", limit=MAX_BYTES)
    text = data.decode(errors="replace")
    over, final, running = _OVER.search(text), _FINAL.search(text), _running(path, text)
    if over is None:
        if final is None and not running:
            return None
        raise StoreError(
            f"{path} tells a perplexity and not of how long chunks; give what llama-perplexity "
            "prints as errors too (`2>&1`), for it says there `perplexity over … chunks, n_ctx=…`"
        )
    n_chunks, n_ctx = int(over[1]), int(over[2])
    if not 4 <= n_ctx <= 1 << 30 or not 1 <= n_chunks <= MOST_CHUNKS:
        raise StoreError(f"{path}: {n_chunks:,} chunks of n_ctx={n_ctx} cannot be; give another")
    printed = _printed(text)
    if final:
        printed |= {"perplexity": float(final[1]), "perplexity_error": float(final[2])}
    n_per_chunk = n_ctx - 1 - n_ctx // 2
    if not running and "perplexity" in printed and printed["perplexity"] > 0:
        total = n_chunks * n_per_chunk * math.log(printed["perplexity"])
        return TextScored(
            n_ctx=n_ctx,
            n_chunks=n_chunks,
            chunk_nats=(total,),
            n_tokens=n_chunks * n_per_chunk,
            printed=printed,
        )
    if not running:
        raise StoreError(f"{path} tells no chunk of perplexity; let llama-perplexity run further")
    sums = [n * n_per_chunk * math.log(value) for n, value in enumerate(running, 1)]
    nats = (own - before for before, own in zip([0.0, *sums], sums, strict=False))
    return TextScored(
        n_ctx=n_ctx,
        n_chunks=n_chunks,
        chunk_nats=tuple(nats),
        n_tokens=len(running) * n_per_chunk,
        printed=printed,
    )


def _running(path: Path, text: str) -> list[float]:
    """The perplexity of the first chunk, of the first two, and so on."""
    found = [(match[1], match[2]) for match in _CHUNK.finditer(text)]
    found = found or [(match[1], match[2]) for match in _KL_CHUNK.finditer(text)]
    running = []
    for place, (number, value) in enumerate(found, 1):
        if int(number) != place:
            raise StoreError(f"{path} has chunk {number} where chunk {place} was to come")
        if "n" in value or float(value) <= 0:
            raise StoreError(f"{path}: the perplexity of chunk {number} is {value}, which is none")
        running.append(float(value))
    return running


def _printed(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, words in _STATISTICS.items():
        if match := re.search(words + _WITH_ERROR, text):
            found[name] = float(match[1])
            found |= {f"{name}_error": float(match[2])} if match[2] else {}
    return found
