"""The phantom cards of one experiment, for as long as a `with` block.

`phantom_cards("RTX 5090")` makes the cards' shared accounts and says what environment a child needs
to see them as CUDA devices. The experimenter reads the counters and may heat, throttle or lose a
card meanwhile.
"""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Final

from oomph.cards import Card, read_cards
from oomph.config import MAX_DEVICES
from oomph.errors import ConfigError
from oomph.gpus import GpuSpec
from oomph.phantom.build import Libraries, libraries

OLDEST_CAPABILITY: Final = (7, 5)
"""CUDA 13 has no code for cards before Turing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomCard:
    """One card of the shape `spec`. `reserved_bytes` is what NVML shows on top of the memory that
    CUDA reports, `context_bytes` what every process's CUDA context takes (0: not modelled)."""

    spec: GpuSpec
    reserved_bytes: int = 0
    context_bytes: int = 0


class Sensor(IntEnum):
    """What can be changed on a card while it runs; the order is that of phantom.h."""

    POWER_MW = 0
    TEMPERATURE_C = 1
    SM_MHZ = 2
    MEMORY_MHZ = 3
    THROTTLE_REASONS = 4
    LOST = 5
    HIDES_PROCESS_MEMORY = 6
    WITHOUT_MEMORY_V2 = 7
    CPUS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """A card's accounts in bytes: `used` by all living processes in whole 2 MiB pieces, `live` as
    asked for."""

    used_bytes: int
    peak_bytes: int
    total_bytes: int
    live_bytes: int
    refused_bytes: int
    n_refused: int
    n_allocations: int
    n_launches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """Phantom cards that exist: `state_path` is their shared account, `backend_path` the CUDA
    backend that sees them, `nvml_path` the libnvidia-ml.so.1 that reads them."""

    cards: tuple[PhantomCard, ...]
    state_path: Path
    backend_path: Path
    cuda_path: Path
    nvml_path: Path

    @property
    def specs(self) -> tuple[GpuSpec, ...]:
        """The cards' data sheets, in CUDA's order."""
        return tuple(card.spec for card in self.cards)

    def environment(self, shown: Sequence[int] | None = None) -> dict[str, str]:
        """What a child's environment needs on top of its own to find these cards, or those `shown`,
        as its CUDA devices; what this process's own says of real cards does not hold for them."""
        devices = range(len(self.cards)) if shown is None else shown
        return {
            "PHANTOM_STATE": str(self.state_path),
            "LD_PRELOAD": str(self.cuda_path),
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, devices)),
        }

    def program_environment(self) -> dict[str, str]:
        """`environment` for one of llama.cpp's own programs, which looks for a backend where this
        names it."""
        return self.environment() | {"GGML_BACKEND_PATH": str(self.backend_path)}

    def backend_of(self, llama_cpp: Path) -> dict[str, str]:
        """Where a program whose libraries are in the folder `llama_cpp` looks for a backend that
        sees these cards."""
        return {"GGML_BACKEND_PATH": str(libraries(llama_cpp).backend)}

    def counters(self, card: int = 0) -> Counters:
        """The card's accounts now; IndexError for a card that is not there."""
        values = (ctypes.c_uint64 * len(Counters.__slots__))()
        if self._library().phantom_read(card, values):
            raise IndexError(f"there is no phantom card {card}")
        return Counters(**dict(zip(Counters.__slots__, map(int, values), strict=True)))

    def reset_peak(self, card: int = 0) -> None:
        """Let the card's highest use count from now; IndexError for a card that is not there."""
        if self._library().phantom_reset_peak(card):
            raise IndexError(f"there is no phantom card {card}")

    def set(self, sensor: Sensor, value: int, *, card: int = 0) -> None:
        """Change what a sensor of the card reads, or lose the card; IndexError for a card that is
        not there."""
        if self._library().phantom_set(card, int(sensor), ctypes.c_uint64(value)):
            raise IndexError(f"there is no phantom card {card}")

    def _library(self) -> ctypes.CDLL:
        return ctypes.CDLL(str(self.nvml_path))


class _Card(ctypes.Structure):
    """struct phantom_card of phantom.h."""

    _fields_ = (
        ("name", ctypes.c_char * 96),
        ("memory_bytes", ctypes.c_uint64),
        ("reserved_bytes", ctypes.c_uint64),
        ("context_bytes", ctypes.c_uint64),
        ("compute_capability", ctypes.c_uint32),
        ("sm_count", ctypes.c_uint32),
    )


@contextmanager
def phantom_cards(
    cards: str | Sequence[PhantomCard], *, llama_cpp: Path | None = None
) -> Iterator[Phantom]:
    """The cards, given or described as in `parse_cards`, until the block ends; then no file of them
    is left.

    They are for the llama.cpp whose libraries are in the folder `llama_cpp`, None for the installed
    wheel's. Raises ConfigError for a description that cannot be, ToolchainError where the phantom
    is not set up.
    """
    given = parse_cards(cards) if isinstance(cards, str) else tuple(cards)
    with tempfile.TemporaryDirectory(prefix="oomph-phantom-") as folder:
        yield _create(given, Path(folder), libraries(llama_cpp))


def parse_cards(description: str) -> tuple[PhantomCard, ...]:
    """The cards of a list as `--gpu` takes it: `RTX 5090`, `2x3090`, `rtx 5090:24000`, `name:memory
    MiB:compute capability:SMs`, separated by commas.

    Raises UnknownNameError for a card that `oomph.gpus.gpu` does not find, ConfigError for
    the rest.
    """
    if not description.strip(" ,"):
        raise ConfigError(f"--phantom {description!r} names no card; name 1 to {MAX_DEVICES}")
    return tuple(map(_phantom, read_cards(description)))


def _phantom(card: Card) -> PhantomCard:
    if card.spec is None:
        raise ConfigError(f"--phantom {card.name!r} is a size alone; name the card that has it")
    spec = replace(card.spec, memory_bytes=card.memory_bytes)
    if tuple(map(int, spec.compute_capability.split("."))) < OLDEST_CAPABILITY:
        raise ConfigError(
            f"{spec.name} has compute capability {spec.compute_capability}; CUDA 13 begins at 7.5"
        )
    return PhantomCard(spec=spec)


def _create(cards: tuple[PhantomCard, ...], folder: Path, built: Libraries) -> Phantom:
    """Make the accounts. NVML's stand-in is copied beside them: a library of its own, so that
    experiments in one process do not see each other's cards."""
    nvml = Path(shutil.copy(built.nvml, folder))
    state = folder / "state"
    library = ctypes.CDLL(str(nvml))
    structs = (_Card * len(cards))(*map(_struct, cards))
    error = library.phantom_create(os.fsencode(state), len(cards), structs)
    if error := error or library.phantom_attach(os.fsencode(state)):
        raise OSError(error, os.strerror(error), str(state))
    return Phantom(
        cards=cards,
        state_path=state,
        backend_path=built.backend,
        cuda_path=built.cuda,
        nvml_path=nvml,
    )


def _struct(card: PhantomCard) -> _Card:
    spec = card.spec
    major, minor = spec.compute_capability.split(".")
    return _Card(
        name=spec.name.encode()[:95],
        memory_bytes=spec.memory_bytes,
        reserved_bytes=card.reserved_bytes,
        context_bytes=card.context_bytes,
        compute_capability=int(major) * 10 + int(minor),
        sm_count=spec.sm_count,
    )
