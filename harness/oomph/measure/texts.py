"""What is asked of the model beside speed: texts, references, facts to find.

The parent's side of `worker.quality` and `worker.needle`: it reads texts, names the file of a
reference's log-probabilities, and refuses what would not fit on the disk before anything is loaded.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError
from oomph.foreign import read_bytes
from oomph.measure.needles import facts, filler
from oomph.measure.point import Point
from oomph.measure.sweep import Sweep
from oomph.measure.tasks.items import asked_items, tasks_asked
from oomph.measure.worker.protocol import Questions, Reference
from oomph.models.demo import ranking_text
from oomph.paths import cache_folder
from oomph.units import gib

PYDOC: Final = "pydoc"
"""The `file` of a text that means the language reference in CPython's own library."""
LEVEL_BYTES: Final = 2
"""A log-probability in the file of a reference."""

_LONGEST_S: Final = 1e9
"""JSON has no infinity."""

Texts = Mapping[str | None, str]
"""By the name that the sweep gives them; None is the text that comes with oomph."""


def read_texts(points: Iterable[Point], sweep: Sweep) -> Texts:
    """The texts that the points score; ConfigError where one cannot be read."""
    names = {point.workload.text.file for point in points if point.workload.text}
    return {name: _read(name, sweep) for name in names}


def _read(name: str | None, sweep: Sweep) -> str:
    if name is None:
        return ranking_text()
    if name == PYDOC:
        return pydoc_text()
    path = sweep.base / name
    return read_bytes(path, error=ConfigError, remedy="check measure.text.file").decode(
        errors="replace"
    )


def pydoc_text() -> str:
    """Python's language reference as `help()` has it: half a megabyte that needs no download."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[topic] for topic in sorted(topics))


def references_folder(*identity: object) -> Path:
    """Where the references of one model in one place are kept, made if need be; beside other
    caches, since it is large and can be measured again."""
    digest = hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:16]
    folder = cache_folder() / "references" / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made ({error.strerror}); set OOMPH_CACHE to a folder that can, "
            "or leave measure.text.reference out"
        ) from None
    return folder


def reference_path(point: Point, texts: Texts, folder: Path) -> Path | None:
    """The file with what this point's text is compared with, None where it is compared with
    nothing."""
    reference, text = point.reference_point, point.workload.text
    if reference is None or text is None:
        return None
    content = hashlib.sha256(texts[text.file].encode()).hexdigest()[:12]
    return folder / f"{reference.point_id('')}-{content}.logprobs"


def check_size(points: Iterable[Point], spec: ModelSpec, sweep: Sweep) -> None:
    """ConfigError where the log-probabilities of a reference would take more than the sweep
    allows."""
    for point in points:
        text = point.workload.text
        if text is None or not point.is_reference:
            continue
        n_bytes, limit = text.n_tokens * spec.n_vocab * LEVEL_BYTES, point.limits.reference_bytes
        if n_bytes > limit:
            raise ConfigError(
                f"{sweep.path or 'sweep'}: the log-probabilities of measure.text.reference may "
                f"take {gib(n_bytes)} and limits.reference_bytes is {gib(limit)}; raise it, or "
                f"lower text.n_tokens from {text.n_tokens}"
            )


def questions(
    point: Point, texts: Texts, references: Path | None, *, seconds: float = math.inf
) -> Questions | None:
    """What the worker is asked once the point's memory and speed are known, in `seconds` at most;
    None where nothing is."""
    text, needle = point.workload.text, point.workload.needle
    asked: Questions = {}
    if text is not None:
        path = reference_path(point, texts, references) if references else None
        compare: Reference | None = (
            {"path": str(path), "keep": point.is_reference} if path else None
        )
        asked["text"] = {
            "content": texts[text.file],
            "n_tokens": text.n_tokens,
            "n_ctx": text.n_ctx,
            "compare": compare,
        }
    if needle is not None:
        hidden = facts(needle, seed=point.workload.seed)
        asked["needle"] = {"filler": filler(), "texts": hidden, "n_tokens": needle.n_tokens}
    if (tasks := point.workload.tasks) is not None:
        items = asked_items(tasks, seed=point.workload.seed, n_ctx=point.config.n_ctx_seq)
        if items:
            seconds = min(seconds, tasks.budget_s or seconds)
            asked["tasks"] = tasks_asked(items, seconds=min(seconds, _LONGEST_S))
    return asked or None
