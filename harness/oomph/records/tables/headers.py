"""The columns of the tables that tools print, and a row's cells by the names of their JSON.

llama-bench's short names are those of tools/llama-bench/llama-bench.cpp (`get_field_display_name`),
sweep-bench's and batched-bench's those of their examples. A column that no release of llama.cpp has
(ik_llama.cpp's `mla`, a reader's note) keeps its own name.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from oomph.config import KNOBS
from oomph.units import GIB, MIB

_BENCH_NAMES: Final = {
    "model": "model_type",
    "backend": "backends",
    "dev": "devices",
    "mmap": "use_mmap",
    "dio": "use_direct_io",
    "lm": "load_mode",
    "lzm": "lazy_mode",
    "embd": "embeddings",
    "noh": "no_host",
    "rpk": "repack",
    "fitt": "fit_target",
    "fitc": "fit_min_ctx",
} | {knob.bench_column: knob.bench for knob in KNOBS.values() if knob.bench_column and knob.bench}
_SWEEP_NAMES: Final = {
    "PP": "pp",
    "TG": "tg",
    "B": "pl",
    "N_KV": "n_kv",
    "T_PP s": "t_pp",
    "S_PP t/s": "speed_pp",
    "T_TG s": "t_tg",
    "S_TG t/s": "speed_tg",
    "T s": "t",
    "S t/s": "speed",
}
_SWEEP_NEEDS: Final = frozenset({"PP", "TG", "N_KV", "T_PP s", "T_TG s"})
_RATES: Final = ("t/s", "t/s (total)", "t/s (req)")
_BENCHY: Final = re.compile(r"ttfr|est_ppt|ttft|peak t/s|t/s \(|^c$")
_UNITS: Final = {
    "KiB": 1024,
    "MiB": MIB,
    "GiB": GIB,
    "TiB": 1024 * GIB,
    "K": 10**3,
    "M": 10**6,
    "B": 10**9,
    "T": 10**12,
}
_AMOUNT: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ([KMG]iB|TiB|[KMBT])")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,12})?")
_RATE: Final = re.compile(
    r"([0-9]{1,12}(?:\.[0-9]{1,12})?|[0-9]{1,3}(?:,[0-9]{3}){1,3}(?:\.[0-9]{1,12})?)"
    r"(?:\s{0,4}(?:±|\+/-|\\pm|&plusmn;|[^\s0-9.,]{1,4})\s{0,4}[0-9][0-9.,]{0,20})?"
)
_TEST: Final = re.compile(
    r"(?:pp ?([0-9]{1,9}))?\s?\+?\s?(?:tg ?([0-9]{1,9}))?(?:@pp([0-9]{1,9}))?"
    r"(?:\s{0,2}@\s{0,2}d ?([0-9]{1,9}))?(?: \(c([0-9]{1,5})\))?"
)
_OF_CONTEXT: Final = re.compile(
    r"ctx_(pp|tg)(?:[0-9]{1,9})? @ d([0-9]{1,9})(?: \(c([0-9]{1,5})\))?"
)


class RowError(ValueError):
    """Cells that are none of the table's rows; says which cell is wrong."""


def plain(cell: str) -> str:
    """A cell without its padding and without what Markdown adds to it."""
    return cell.strip().strip("*`_").strip()


def kind_of(names: Sequence[str]) -> str | None:
    """`bench`, `benchy` or `sweep` by the names of its columns; None where it is no such table."""
    if set(names) >= _SWEEP_NEEDS:
        return "sweep"
    if "test" in names and any(rate in names for rate in _RATES):
        is_benchy = any(map(_BENCHY.search, names)) or "model" not in names
        return "benchy" if is_benchy else "bench"
    return None


def values_of(kind: str, names: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """The row's values; RowError where a cell cannot be what its column says."""
    row = dict(zip(names, map(plain, cells), strict=True))
    if kind == "sweep":
        return _sweep_values(row)
    return _bench_values(row) if kind == "bench" else _benchy_values(row)


def _sweep_values(row: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {"rounded": True}
    for name, text in row.items():
        if name in _SWEEP_NAMES:
            if not _NUMBER.fullmatch(text) and text not in ("nan", "-nan", "inf"):
                raise RowError(f"{name} is {text!r}")
            is_whole = name in ("PP", "TG", "B", "N_KV")
            number = float(text)
            if is_whole and not number.is_integer():
                raise RowError(f"{name} is {text!r}")
            values[_SWEEP_NAMES[name]] = int(number) if is_whole else number
    return values


def _bench_values(row: dict[str, str]) -> dict[str, Any]:
    if not row["model"]:
        raise RowError("it names no model")
    sizes = {
        key: _amount(column, row.pop(column))
        for column, key in (("size", "model_size"), ("params", "model_n_params"))
        if column in row
    }
    values = _test_values(row.pop("test")) | {"avg_ts": _rate(row.pop("t/s"))}
    return {_BENCH_NAMES.get(name, name): text for name, text in row.items()} | values | sizes


def _benchy_values(row: dict[str, str]) -> dict[str, Any]:
    rate = next((row[name] for name in _RATES if row.get(name)), "")
    values = _benchy_test(row["test"])
    return values | {"avg_ts": _rate(rate), "model": row.get("model", ""), "benchy": True}


def _benchy_test(text: str) -> dict[str, Any]:
    match = _OF_CONTEXT.fullmatch(text)
    if match is None:
        return _test_values(text)
    depth, is_prompt = int(match[2]), match[1] == "pp"
    return {
        "n_prompt": depth if is_prompt else 0,
        "n_gen": 0 if is_prompt else 1,
        "n_depth": 0 if is_prompt else depth,
        "n_parallel": int(match[3] or 1),
    }


def _test_values(text: str) -> dict[str, Any]:
    match = _TEST.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        raise RowError(f"{text!r} is a test of neither a prompt nor generation")
    n_prompt, n_gen, before, depth, n_parallel = (int(group or 0) for group in match.groups())
    found = {"n_prompt": n_prompt, "n_gen": n_gen, "n_depth": before + depth}
    return found | ({"n_parallel": n_parallel} if n_parallel else {})


def _rate(text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None or not (rate := float(match[1].replace(",", ""))):
        raise RowError(f"{text!r} is no speed")
    return rate


def _amount(column: str, text: str) -> int | None:
    """`92.63 MiB` or `134.65 M` as a number."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise RowError(f"{text!r} is no {column}")
    return round(float(match[1]) * _UNITS[match[2]])
