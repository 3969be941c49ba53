"""What a part of the soak gives: hostile cases, and what is said of one that passes.

A case is bytes with a kind, so that one which fails can be kept as a small file and tried again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile input; `kind` says which reader it is for."""

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the soak. `make` gives a case; `attempt` gives what was wrong with the answer in
    words, None where nothing was, and raises OomphError where the case was refused in a sentence.

    `attempt` is given a folder of its own, for readers that take a path. `usual` is how many cases
    are tried unless something else is said.
    """

    usual: int
    make: Callable[[Random], Case]
    attempt: Callable[[Case, Any], str | None]


NUMBERS = (
    0, 1, 2, 3, 7, 8, 31, 32, 33, 64, 127, 128, 255, 256, 511, 512, 513, 1000, 4096, 65535, 65536,
    2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -(2**31),
)  # fmt: skip
FLOATS = (0.0, -0.0, 0.5, -1.0, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "", "x", "²", "٣", "1e999", "NaN", "-1", "9" * 5000, "\x00", "\x1b[2J", "../../etc/passwd",
    "‮abc", "blk.²", "😀", "a" * 100_000, "{{7*7}}", "'; DROP TABLE x; --",
)  # fmt: skip


def hostile_value(source: Random, *, deep: bool = True) -> Any:
    """Any value that JSON may hold, with a liking for the odd ones."""
    kind = source.randrange(9 if deep else 6)
    if kind == 0:
        return source.choice(NUMBERS)
    if kind == 1:
        return source.choice(FLOATS)
    if kind == 2:
        return source.choice(TEXTS)
    if kind in (3, 4):
        return source.choice((None, True, False))
    if kind == 5:
        return 10 ** source.choice((20, 400))
    if kind == 6:
        return [hostile_value(source, deep=False) for _ in range(source.randrange(4))]
    if kind == 7:
        return {source.choice(("a", "", "n_ctx")): hostile_value(source, deep=False)}
    nested: Any = 1
    for _ in range(source.choice((3, 50, 200))):
        nested = [nested]
    return nested


def mutated_bytes(data: bytes, source: Random) -> bytes:
    """`data` with one to four changes: a byte, a number, a piece removed, doubled or moved, an end
    cut off."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        if len(changed) < 9:
            break
        at, kind = source.randrange(len(changed)), source.randrange(6)
        number = source.choice(NUMBERS) % 2**64
        if kind == 0:
            changed[at] = source.randrange(256)
        elif kind == 1:
            changed[at : at + 8] = number.to_bytes(8, source.choice(("little", "big")))
        elif kind == 2:
            changed[at : at + 4] = (number % 2**32).to_bytes(4, "little")
        elif kind == 3:
            del changed[at : at + source.randrange(1, 40)]
        elif kind == 4:
            end = min(len(changed), at + source.randrange(1, 200))
            changed[at:at] = changed[at:end]
        else:
            del changed[max(at, 8) :]
    return bytes(changed)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value inside a JSON value."""
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def with_changes(value: Any, source: Random) -> Any:
    """A JSON value with one to three of its places given something hostile, taken out or doubled;
    `value` itself is changed."""
    for _ in range(source.choice((1, 1, 2, 3))):
        there = list(places(value))
        if not there:
            return hostile_value(source)
        *path, key = source.choice(there)
        holder = value
        for step in path:
            holder = holder[step]
        what = source.randrange(6)
        if what == 0 and isinstance(holder, dict):
            del holder[key]
        elif what == 1 and isinstance(holder, dict):
            holder[source.choice(("extra", "", "x" * 300))] = hostile_value(source)
        else:
            holder[key] = hostile_value(source)
    return value


def wrong_numbers(value: Any, path: str = "") -> Iterator[str]:
    """What no answer may hold: numbers that are not finite, sizes and speeds below 0, probabilities
    outside 0 to 1. A margin may be negative."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from wrong_numbers(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from wrong_numbers(item, path)
    elif isinstance(value, int | float) and not isinstance(value, bool) and _is_wrong(value, path):
        yield f"{path} is {value}"


def _is_wrong(value: float, path: str) -> bool:
    if not isfinite(value) or ("probability" in path and not 0 <= value <= 1):
        return True
    if path.endswith("tokens_per_s"):
        return value <= 0
    return value < 0 and "margin" not in path and path.endswith(("_bytes", "_s", "_ns", "_mib"))
