"""The protocol's models: the demo's, a user's file, or a published shape filled or sparse.

On a card that computes, and on the CPU, the weights are random: speed is real. On a phantom card
the file is sparse.
"""

from pathlib import Path
from typing import Final

from oomph.architectures.source import read_model
from oomph.measure.first_card.protocol import SWEEP, Size
from oomph.measure.first_card.visit import Opened
from oomph.measure.plan import DEMO, Subject, open_subject
from oomph.measure.sweep import Sweep, SweepFile
from oomph.models.demo import demo_model
from oomph.models.filled import Filled, filled_file, is_filled
from oomph.models.likeness import likeness
from oomph.models.sparse import sparse_file
from oomph.paths import expanded
from oomph.units import gib, rate, wait

_ANY: Final = Sweep(file=SweepFile(name=SWEEP, model=""))


class ProtocolModels:
    """Opens the references of a protocol of that size; `computes` says whether their weights are
    made random.

    `close` deletes what was written into the machine's memory.
    """

    def __init__(self, size: Size, *, computes: bool) -> None:
        self._size, self._computes = size, computes
        self._resolved: dict[str, tuple[Subject, bool]] = {}
        self._in_memory: list[Path] = []

    def resolve(self, reference: str) -> tuple[Subject, bool]:
        """What a reference names. A published shape's header is that of its sparse file, so it is
        known before the weights are made. Raises what reading a model raises."""
        if reference not in self._resolved:
            self._resolved[reference] = self._resolve(reference), self._is_there(reference)
        return self._resolved[reference]

    def open(self, reference: str) -> Opened:
        """The model with its file; ModelFileError where no disk has room for it."""
        subject, _ = self.resolve(reference)
        if not self._computes or not is_published(reference):
            return Opened(subject=subject)
        filled = filled_file(subject.spec)
        if filled.in_memory:
            self._in_memory.append(filled.path)
        opened = _subject(filled.path, subject.identity.path)
        self._resolved[reference] = opened, True
        return Opened(subject=opened, note=_note(filled))

    def close(self) -> None:
        """Give the memory back that files took."""
        for path in self._in_memory:
            path.unlink(missing_ok=True)

    def _resolve(self, reference: str) -> Subject:
        if reference == DEMO:
            return _subject(demo_model(), DEMO)
        if not is_published(reference):
            return _subject(expanded(reference), reference)
        spec = likeness(reference) if self._size == "small" else read_model(reference)
        return _subject(sparse_file(spec), spec.source)

    def _is_there(self, reference: str) -> bool:
        return (
            not self._computes
            or not is_published(reference)
            or is_filled(self._resolve(reference).spec)
        )


def is_published(reference: str) -> bool:
    """Whether it is a name of the catalogue with a quantization, and no file."""
    return ":" in reference and not reference.endswith(".gguf")


def _subject(path: Path, known_as: str) -> Subject:
    return open_subject(_ANY, model=path, known_as=known_as)


def _note(filled: Filled) -> str:
    if not filled.seconds:
        return ""
    n_bytes = filled.path.stat().st_size
    where = "into memory, deleted at the end" if filled.in_memory else "kept in the cache"
    per_s = f"{rate(n_bytes / filled.seconds / 1e9)} GB/s"
    return f"random weights written: {gib(n_bytes)} in {wait(filled.seconds)} ({per_s}), {where}"
