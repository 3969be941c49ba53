"""What the open tables of a record must hold: its knobs, workload, limits, cards and losses.

The schema leaves those tables open, since each version of oomph and each imported tool says more or
less in them. Here a line is refused, by ValueError with what is wrong in it, before anything counts
with it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from oomph.config import KNOBS, RunConfig
from oomph.errors import ConfigError

if TYPE_CHECKING:
    from oomph.records.schema import Quality, Record

LARGEST_NATS: Final = 250.0
"""Of a token: a word that every other is 10^100 times likelier than. Past it no exponential of a
mean, with its errors, is a number."""
MOST: Final = 1 << 62
"""Bytes, tokens or cards."""
_COUNTS: Final = ("n_prompt", "n_gen")
_WORDS: Final = ("group", "load_mode", "through")
_CARD_SIZES: Final = ("usable_bytes", "total_bytes", "leave_bytes", "ballast_bytes")


def check_open_tables(record: "Record") -> None:
    """ValueError for a record whose open tables say what cannot be."""
    _check_config(record.config)
    for name in _COUNTS:
        _check_count(record.workload.get(name), f"workload.{name}")
    for name in _WORDS:
        _check_word(record.workload.get(name), f"workload.{name}")
    text = _table(record.workload.get("text"), "workload.text")
    _table(text.get("reference"), "workload.text.reference")
    _check_size(record.limits.get("memory_bytes"), "limits.memory_bytes")
    _check_word(record.limits.get("memory_kind"), "limits.memory_kind")
    for card in record.environment.gpus:
        _check_word(card.get("name"), "the name of a card")
        _check_count(card.get("index"), "the index of a card")
        for name in _CARD_SIZES:
            _check_size(card.get(name), f"{name} of a card")
    if record.quality is not None:
        _check_quality(record.quality)


def _check_config(config: Mapping[str, Any]) -> None:
    """A knob that cannot be; those of a later oomph may be any plain value."""
    # older records lack a place for each sequence in step
    known = {k: v for k, v in config.items() if k in KNOBS and k != "n_parallel"}
    try:
        RunConfig.from_mapping(known, where="config")
    except ConfigError as error:
        raise ValueError(str(error)) from None
    for name in ("n_parallel", "n_seq_max"):
        if name in config and (not _is_count(config[name]) or config[name] < 1):
            raise ValueError(f"config.{name} is no number of sequences")
    for value in config.values():
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, dict | list) for item in items):
            raise ValueError("config has a knob that is a table, or a list of lists")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _check_count(value: Any, where: str) -> None:
    if value is not None and not _is_count(value):
        raise ValueError(f"{where} is no whole number from 0")


def _check_size(value: Any, where: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value <= MOST):
        raise ValueError(f"{where} is no number of bytes")


def _check_word(value: Any, where: str) -> None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{where} is no text")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{where} is no table")
    return value or {}


def _check_quality(quality: "Quality") -> None:
    """Losses that no model has, or of more items than there are tokens."""
    n_items = len(quality.nll_nats)
    if n_items and quality.n_tokens < n_items:
        raise ValueError(f"quality has {n_items} losses of {quality.n_tokens} tokens")
    most = LARGEST_NATS * (quality.n_tokens / n_items if n_items else 1)
    if any(abs(nats) > most for nats in quality.nll_nats):
        raise ValueError("quality.nll_nats has a loss that no model can have")
    if any(abs(nats) > LARGEST_NATS for nats in quality.kl_nats):
        raise ValueError("quality.kl_nats has a divergence that no model can have")
