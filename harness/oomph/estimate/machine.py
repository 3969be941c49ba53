"""What a question says of the machine around the card: its system, a power limit, its RAM.

Stands apart from a run's knobs and from the data sheet of a card: it is neither llama.cpp's nor
NVIDIA's.
"""

import re
from typing import Final

from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.units import MIB, parse_size

SYSTEMS: Final = ("linux", "windows")
_LEAST_W: Final = 5.0
_MOST_W: Final = 2000.0


@frozen
class Machine:
    """`system` is one of `SYSTEMS`. None is the card's own power limit, the RAM that coefficients
    are of, and an amount of RAM that nobody said. `reserve_bytes` of each card are left to others:
    a desktop, another program."""

    system: str = "linux"
    power_limit_w: float | None = None
    host_bandwidth_bytes_per_s: float | None = None
    ram_bytes: int | None = None
    reserve_bytes: int = 0

    def to_dict(self) -> dict[str, object]:
        """The machine by its options' names, ready for JSON; RAM in GB/s."""
        rate = self.host_bandwidth_bytes_per_s
        return {
            "os": self.system,
            "power_limit_w": self.power_limit_w,
            "host_bandwidth_gb_s": rate and rate / 1e9,
            "ram_bytes": self.ram_bytes,
            "reserve_bytes": self.reserve_bytes,
        }


LINUX: Final = Machine()

_CHANNEL_BYTES: Final = 8
_CHANNELS: Final = 2
"""Of a desktop, which is meant where memory is named by its kind alone."""
_LEAST_BANDWIDTH: Final = 1e9
_MOST_BANDWIDTH: Final = 2e12


def ram_bandwidth(text: str) -> float:
    """Bytes per second of RAM told in GB/s (`51.2`), or as `DDR5-6000`, of two channels unless
    `x4`, `x8` follows.

    ConfigError for what is neither.
    """
    found = re.fullmatch(r"(?i)(?:lp)?ddr[2-6]x?-(\d{3,5})(?:x(\d{1,2}))?", text.strip())
    if found:
        channels = int(found[2]) if found[2] else _CHANNELS
        rate = int(found[1]) * 1e6 * _CHANNEL_BYTES * channels
    else:
        try:
            rate = float(text) * 1e9
        except ValueError:
            rate = 0.0
    if not _LEAST_BANDWIDTH <= rate <= _MOST_BANDWIDTH:
        raise ConfigError(
            f"--host-bandwidth is {text!r}; give the RAM's GB/s, as 51.2, or its kind, as DDR5-6000"
        )
    return rate


DESKTOP_BYTES: Final = 1024 * MIB
"""What a desktop is taken to need of the card that it is drawn by: llama.cpp's own --fit leaves so
much of a card (common.h, fit_params_target)."""


def ram_size(text: str) -> int:
    """Bytes of RAM told as `64GiB`, or in MiB; ConfigError for what no machine has."""
    return _size(text, "--ram", "the machine's RAM, as 64GiB", least=256 * MIB)


def reserve_size(text: str) -> int:
    """Bytes of a card that are left to others, told as `1GiB`, or in MiB; ConfigError for what
    cannot be."""
    return _size(text, "--reserve", "what each card leaves to others, as 1GiB", least=0)


def _size(text: str, option: str, what: str, *, least: int) -> int:
    try:
        n_bytes = parse_size(text)
    except (ValueError, OverflowError):
        n_bytes = -1
    if not least <= n_bytes < MIB << 40:
        raise ConfigError(f"{option} is {text[:40]!r}; give {what}")
    return n_bytes


def machine_of(
    system: str | None, power_limit_w: float | None, host_bandwidth: str | None
) -> Machine:
    """The machine that a command line tells of; ConfigError for a system, power or memory that
    cannot be.

    None are Linux, the card's own power limit, and memory of which nothing is known.
    """
    name = (system or "linux").lower()
    if name not in SYSTEMS:
        raise ConfigError(f"--os is {system!r}; it is one of {', '.join(SYSTEMS)}")
    if power_limit_w is not None and not _LEAST_W <= power_limit_w <= _MOST_W:
        raise ConfigError(
            f"--power-limit is {power_limit_w:g}; give the card's limit in W, for example 250"
        )
    rate = ram_bandwidth(host_bandwidth) if host_bandwidth is not None else None
    return Machine(system=name, power_limit_w=power_limit_w, host_bandwidth_bytes_per_s=rate)
