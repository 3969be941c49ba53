"""A record made from what a foreign row says, and no more: what it does not tell is None."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

from oomph.config import COUNTED, RunConfig
from oomph.frozen import frozen
from oomph.records.grouping import model_key
from oomph.records.schema import ModelIdentity, Record
from oomph.records.tools.placed import Place

LONGEST_NS: Final = 10**18
"""No sample took longer: 30 years."""
MOST_SAMPLES: Final = 100_000
_SAID_TEXT: Final = 200
_SAID_KEYS: Final = 60


@frozen
class Source:
    """The file that rows are of, and the model that its caller named: by a name, or by its file's
    identity."""

    path: Path
    model: str | ModelIdentity | None = None

    def named_model(self, said: str = "") -> ModelIdentity:
        """The model of a file that tells a name at most: the given one, else that name, else the
        file's own."""
        if isinstance(self.model, ModelIdentity):
            return self.model
        name = (self.model or said or self.path.stem)[:_SAID_TEXT]
        return ModelIdentity(name=name, path=name, arch="", file_bytes=0, header_sha256="")


def whole(value: Any, what: str, *, most: int = COUNTED - 1) -> int:
    """A count that a row tells; ValueError, naming it, where it can be none."""
    number = float(str(value).strip() or "nan") if not isinstance(value, bool) else float("nan")
    if not isfinite(number) or number != int(number) or not 0 <= number <= most:
        raise ValueError(f"{what} is {str(value)[:40]!r}")
    return int(number)


def duration_ns(value: float, what: str) -> int:
    """A time in whole nanoseconds; ValueError where no sample can have taken so long."""
    number = float(value)
    if not isfinite(number) or not 1 <= round(number) <= LONGEST_NS:
        raise ValueError(f"{what} is {number:g} ns")
    return round(number)


def rate_ns(n_tokens: float, rate: Any, what: str) -> int:
    """The time in which `n_tokens` are done at `rate` tokens per second."""
    number = float(rate)
    if not isfinite(number) or number <= 0:
        raise ValueError(f"{what} is {str(rate)[:40]!r}")
    return duration_ns(n_tokens / number * 1e9, what)


def timing(
    kind: str, n_tokens: int, ns: int, *, n_depth: int = 0, n_parallel: int = 1
) -> dict[str, Any]:
    """One test with its one sample."""
    return {
        "test": f"{kind}{n_tokens}",
        "n_tokens": n_tokens,
        "n_depth": n_depth,
        "n_parallel": n_parallel,
        "samples_ns": [ns],
    }


def said(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row's plain values as they were, for a record to keep; long texts are cut."""
    kept = {
        str(key)[:_SAID_TEXT]: value[:_SAID_TEXT] if isinstance(value, str) else value
        for key, value in values.items()
        if isinstance(value, str | int | float | bool)
    }
    return dict(list(kept.items())[:_SAID_KEYS])


def record_of(  # noqa: PLR0913 - a part of the record each
    source: Source,
    *,
    origin: str,
    config: Mapping[str, Any],
    model: ModelIdentity,
    place: Place,
    timings: Sequence[Mapping[str, Any]],
    unread: Mapping[str, str] | None = None,
    started_at: str = "",
    cpu: str = "",
    commit: Any = None,
    **more: Any,
) -> Record:
    """The record; ConfigError for knobs that cannot be, ValueError for other values."""
    RunConfig.from_mapping(config, where=str(source.path))
    identity = json.dumps([model_key(model), dict(config)], sort_keys=True)
    point_id = _digest(identity, 12)
    content = json.dumps([timings, more], sort_keys=True, default=str)
    return Record.model_validate(
        {
            "record_id": f"{point_id}-{_digest(content, 8)}",
            "point_id": point_id,
            "sweep": source.path.stem,
            "label": _label(config),
            "started_at": started_at,
            "wall_ns": sum(sum(each["samples_ns"]) for each in timings),
            "config": config,
            "model": model,
            "environment": environment(origin, place, cpu=cpu, commit=commit),
            "outcome": {"label": "ok"},
            "timings": timings,
            "origin": origin,
            "conditions": {"unread": dict(unread)} if unread else {},
            **more,
        }
    )


def environment(origin: str, place: Place, *, cpu: str = "", commit: Any = None) -> dict[str, Any]:
    """A record's environment as far as an imported row tells it."""
    return {
        "machine": f"imported from {origin}",
        "os": "",
        "python": "",
        "cpu": cpu,
        "cpu_count": None,
        "memory_bytes": None,
        "backend": place.backend,
        "gpus": [{"name": card} for card in place.cards],
        "llama_cpp_commit": None if commit is None else str(commit),
    }


def smallest_context(timings: Iterable[Mapping[str, Any]]) -> int:
    """The context that holds every test at its depth, for tools that do not say theirs."""
    return max(int(each["n_depth"] + each["n_tokens"]) for each in timings)


def _digest(text: str, n_digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:n_digits]


def _label(config: Mapping[str, Any]) -> str:
    shown = ("n_ctx", "type_k", "n_gpu_layers")
    return " ".join(f"{knob}={config[knob]}" for knob in shown if knob in config)
