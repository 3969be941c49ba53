"""Numbers become text here and nowhere else.

Sizes are bytes everywhere in the package and MiB (2^20) or GiB (2^30) only when printed, durations
are nanoseconds, rates are per second. What was not measured is `None` and prints as an em dash,
never as 0. Text becomes numbers here too, as people write sizes and counts.
"""

import re
from typing import Final

KIB = 1024
MIB = 1024**2
GIB = 1024**3

NOT_MEASURED = "—"


def mib(n_bytes: float | None, digits: int = 0) -> str:
    """`n_bytes` as MiB with thousands separators: `mib(90 * 2**30)` is `'92,160 MiB'`."""
    return NOT_MEASURED if n_bytes is None else f"{n_bytes / MIB:,.{digits}f} MiB"


def gib(n_bytes: float | None, digits: int = 2) -> str:
    """`n_bytes` as GiB: `gib(3 * 2**29)` is `'1.50 GiB'`."""
    return NOT_MEASURED if n_bytes is None else f"{n_bytes / GIB:,.{digits}f} GiB"


def size(n_bytes: float | None) -> str:
    """`n_bytes` in the largest unit that keeps the figure at 1 or above: B, KiB, MiB or GiB."""
    if n_bytes is None:
        return NOT_MEASURED
    if abs(n_bytes) >= GIB:
        return gib(n_bytes)
    if abs(n_bytes) >= MIB:
        return f"{n_bytes / MIB:.1f} MiB"
    return f"{n_bytes / KIB:.1f} KiB" if abs(n_bytes) >= KIB else f"{n_bytes:.0f} B"


def count(n: int | None) -> str:
    """A whole number with thousands separators: `count(90112)` is `'90,112'`."""
    return NOT_MEASURED if n is None else f"{n:,}"


def counted(n: int, noun: str) -> str:
    """How many of something: `counted(1, "record")` is `'1 record'`, `counted(2000, "record")`
    `'2,000 records'`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def rate(per_second: float | None) -> str:
    """A rate with three significant digits below 100 and none after the point above: `'7.35'`,
    `'1,234'`."""
    if per_second is None:
        return NOT_MEASURED
    return f"{per_second:,.0f}" if abs(per_second) >= 100 else f"{per_second:.3g}"


def duration(ns: float | None) -> str:
    """Nanoseconds as `'350 µs'`, `'12.3 ms'`, `'4.20 s'` or `'3 min 05 s'`."""
    if ns is None:
        return NOT_MEASURED
    seconds = ns / 1e9
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"


def wait(seconds: float | None) -> str:
    """How long somebody waits, no finer than a prediction is: `'0.35 s'`, `'3.4 s'`, `'34 s'` or
    `'3 min 05 s'`."""
    if seconds is None:
        return NOT_MEASURED
    if round(seconds) >= 60:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as a signed percentage: `percent(0.031)` is `'+3.1 %'`."""
    return NOT_MEASURED if fraction is None else f"{fraction * 100:+.{digits}f} %"


def share(fraction: float | None, digits: int = 1) -> str:
    """A fraction without a sign: `share(0.9, 0)` is `'90 %'`."""
    return NOT_MEASURED if fraction is None else f"{fraction * 100:.{digits}f} %"


def points(fraction: float | None) -> str:
    """A difference of two shares in percentage points, signed: `points(-0.031)` is `'-3.1'`."""
    return NOT_MEASURED if fraction is None else f"{fraction * 100:+.1f}"


def likely(probability: float) -> str:
    """`93 % likely`; never certain, since what no log line prints is known by a width only."""
    if not 0.01 <= probability <= 0.99:
        return "more than 99 % likely" if probability > 0.5 else "less than 1 % likely"
    return f"{share(probability, 0)} likely"


_COUNT: Final = re.compile(r"([+-]?[0-9_]{1,12}(?:\.[0-9]{1,6})?)(k|K|Ki|m|M|Mi)?", re.ASCII)
_COUNTED: Final = {"k": 10**3, "K": KIB, "Ki": KIB, "m": 10**6, "M": MIB, "Mi": MIB}


def read_count(text: str) -> int:
    """`'8192'`, `'90k'` (90,000), `'128K'` or `'128Ki'` (131,072), `'1m'` (1,000,000) or `'1M'`
    (1,048,576) as a number; ValueError for anything else, or for a fraction of one."""
    if not (match := _COUNT.fullmatch(text.strip())):
        raise ValueError(f"{text[:40]!r} is no number such as 8192, 90k or 128K")
    value = float(match[1]) * _COUNTED.get(match[2] or "", 1)
    if value != int(value):
        raise ValueError(f"{text!r} is no whole number")
    return int(value)


def read_counts(text: str) -> list[int]:
    """The numbers of a list or range: `'8,9,10'`, `'8-10'`, `'4k,32k'`; ValueError for anything
    else, and for a range of more than 4,096."""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not (low and dash):
            found.append(read_count(part))
            continue
        first, last = read_count(low), read_count(high)
        if not first <= last < first + 4096:
            raise ValueError(f"{part!r} is no range of numbers, such as 8-10")
        found += range(first, last + 1)
    return found


def parse_size(text: str) -> int:
    """`'96GiB'`, `'24 GB'`, `'97247MiB'` or a bare number of MiB as bytes; ValueError for anything
    else."""
    units = {
        "": MIB,
        "MIB": MIB,
        "M": MIB,
        "GIB": GIB,
        "G": GIB,
        "KIB": KIB,
        "MB": 10**6,
        "GB": 10**9,
        "B": 1,
    }
    stripped = text.strip()
    digits = stripped.rstrip("abgikmABGIKM ")
    unit = stripped[len(digits) :].strip().upper()
    if unit not in units:
        raise ValueError(
            f"{text!r} is no size: give a number of MiB, or a unit of "
            f"{', '.join(u for u in units if u)}"
        )
    return round(float(digits) * units[unit])
