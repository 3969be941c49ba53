"""The question of a user, asked by name: what is my longest context?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oomph.advise.max_context import ContextLimits, context_limits
from oomph.advise.quantizations import published_variants
from oomph.architectures.file_size import sized
from oomph.architectures.names import catalogue_name
from oomph.calibrate.subject import Asked, asked_of
from oomph.cards import CardNames
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.programs.said import DEFAULT_PROGRAM, Said, checked_program

if TYPE_CHECKING:
    from oomph.records.schema import Record


CACHES: Final = ("f16", "q8_0", "q4_0")
Records = Sequence[Path | str]


def records_of(folders: Records) -> "Sequence[Record]":
    """The folders' records; where there is none, nothing is loaded that reads them."""
    if not folders:
        return ()
    from oomph.records.store import read_records

    return read_records(folders)


def max_context(
    model: str,
    gpu: CardNames = None,
    *,
    memory_mib: float | str | None = None,
    file_size: int | str | None = None,
    calibration: Path | None = None,
    experts: Sequence[int | None] = (None,),
    caches: Sequence[str] = CACHES,
    records: Records = (),
    limit: int | None = None,
    rare: bool = False,
    program: str = DEFAULT_PROGRAM,
    **knobs: Any,
) -> list[ContextLimits]:
    """What is my maximum? The longest context for each quantization, number of experts and type of
    cache.

    A name without a quantization is the usual quantizations of it, and `rare` ones too where asked.
    ConfigError without a card.
    """
    said = Said(program=checked_program(program), knobs=knobs, where="knobs")
    model = sized(model, file_size)
    asked = max_context_subject(model, gpu, memory_mib, calibration, said)
    found = records_of(records)
    over = {"experts": experts, "caches": caches, "records": found, "limit": limit}
    return list(limits_of_variants(model, asked, rare=rare, **over))


def max_context_subject(
    model: str,
    gpu: CardNames,
    memory_mib: float | str | None,
    calibration: Path | None,
    said: Said,
) -> Asked:
    """What `max_context` is asked about; a name without a quantization stands for its F16."""
    name = _bare_name(model)
    one = f"{name}:F16" if name else model
    asked = asked_of(one, gpu, memory_mib, calibration, said)
    if asked.config.n_devices == 0:
        raise ConfigError("max-context is about the memory of cards; name one with --gpu")
    return asked


def limits_of_variants(
    model: str, asked: Asked, *, rare: bool = False, **over: Any
) -> Iterator[ContextLimits]:
    """`context_limits` over the quantizations that `model` stands for: the usual, or `rare` ones
    too."""
    return context_limits(_estimators(model, asked, rare=rare), asked.config, **over)


def _bare_name(model: str) -> str | None:
    """The model of the catalogue that is named without a quantization (and no file is so)."""
    return None if Path(model).exists() else catalogue_name(model)


def _estimators(model: str, asked: Asked, *, rare: bool) -> list[Estimator]:
    first = asked.estimator
    if not (name := _bare_name(model)):
        return [first]
    return [first.changed(model=each) for each in published_variants(name, rare=rare)]
