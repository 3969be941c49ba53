"""What a file of coefficients must be: its shape, and numbers that mean something.

A calibration is foreign text: another oomph, or anyone, wrote it. What passes here can be computed
with; what does not is named by its key.
"""

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, Final

MOST: Final = 1e15
"""No coefficient, in any unit, comes near it."""
WIDEST: Final = 20.0
"""Half the width of an interval as a logarithm: e to that is no interval any more."""
_BYTES: Final = ("context_bytes", "host_bytes", "total_vram_bytes")
"""Groups of interval widths that are in bytes, or in parts of them."""
_LISTED: Final = ("machines", "backends", "llama_cpp_commits", "cards", "families", "models")

Check = Callable[[Any, str], None]


def check_coefficients(
    content: Mapping[str, Any], *, bounds: Mapping[str, tuple[float, float]]
) -> None:
    """ValueError, naming the key, unless `content` has a value within `bounds` for each of their
    names, and every part is of its kind."""
    values = _mapping(content.get("values"), "values")
    tables = (("values", values), *_cards(content))
    for name, (least, most) in bounds.items():
        if name not in values:
            raise ValueError(f"values has no {name}")
        for where, held in tables:
            if name in held:
                _number(least, most)(held[name], f"{where}.{name}")
    for key, check in _CHECKS.items():
        if key in content:
            check(content[key], key)
    if posterior := content.get("posterior"):
        _posterior(posterior, content["values"])


def _cards(content: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for card, effects in _mapping(content.get("cards", {}), "cards").items():
        yield f"cards.{card}", _mapping(effects, f"cards.{card}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no table")
    return value


def _table(value: Any, where: str) -> None:
    _mapping(value, where)


def _number(least: float, most: float = MOST) -> Check:
    def check(value: Any, where: str) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not isfinite(value) or not least <= value <= most:
            raise ValueError(f"{where} is {str(value)[:40]}; it takes {least:g} to {most:g}")

    return check


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{where} is no text")


def _texts(value: Any, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{where} is no list of names")


def _each(check: Check) -> Check:
    """Every value of a table is so."""

    def check_all(value: Any, where: str) -> None:
        for key, item in _mapping(value, where).items():
            check(item, f"{where}.{key}")

    return check_all


def _widths(value: Any, where: str) -> None:
    most = MOST if where.endswith(_BYTES) else WIDEST
    _each(_number(0, most))(value, where)


def _range(value: Any, where: str) -> None:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{where} is no pair of numbers")
    for end in value:
        _number(-MOST)(end, where)
    if value[0] > value[1]:
        raise ValueError(f"{where} ends before it starts")


def _origin(value: Any, where: str) -> None:
    """On what a calibration was made: lists of names, a card or none, dates."""
    for key, item in _mapping(value, where).items():
        if key in _LISTED:
            _texts(item, f"{where}.{key}")
        elif key in ("first", "last") or (key == "card" and item is not None):
            _text(item, f"{where}.{key}")


_CHECKS: Final[Mapping[str, Check]] = {
    "values": _each(_number(-MOST)),
    "cards": _each(_each(_number(-MOST))),
    "interval_widths": _each(_widths),
    "standard_errors": _each(_number(0)),
    "seen": _each(_texts),
    "covered": _each(_range),
    "tested": _each(_number(0)),
    "calibrated_on": _origin,
    "provenance": _table,
}


def _posterior(value: Any, values: Mapping[str, Any]) -> None:
    where = "posterior"
    content = _mapping(value, where)
    for key in ("card", "names", "covariance", "noise_sd", "scales"):
        if key not in content:
            raise ValueError(f"{where} has no {key}")
    _text(content["card"], f"{where}.card")
    _texts(content["names"], f"{where}.names")
    if unknown := sorted(set(content["names"]) - set(values)):
        raise ValueError(f"{where}.names has {unknown[0][:40]!r}, which values lacks")
    rows, n = content["covariance"], len(content["names"])
    if not isinstance(rows, list) or len(rows) != n:
        raise ValueError(f"{where}.covariance has not {n} rows")
    for row in rows:
        if not isinstance(row, list) or len(row) != n:
            raise ValueError(f"{where}.covariance has a row that is not of {n} numbers")
        for item in row:
            _number(-1e6, 1e6)(item, f"{where}.covariance")
    _each(_number(0, WIDEST))(content["noise_sd"], f"{where}.noise_sd")
    _each(_number(0, 1e4))(content["scales"], f"{where}.scales")
    for group in content["scales"]:
        if group.partition(" ")[0] not in content["noise_sd"]:
            raise ValueError(f"{where}.noise_sd has nothing for {group[:40]!r}")
