"""llama-bench's rows as records: one for each model, build, place and configuration.

llama-bench wrote `use_mmap` until 2026 and `load_mode` since; both are read. Its Markdown rounds
sizes to two decimals and leaves defaults out: such rows know less than the other layouts'.
"""

import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from oomph.config import FLASH_ATTN, KINDS, KNOBS, RunConfig, knob_value
from oomph.errors import ConfigError
from oomph.records.schema import ModelIdentity, Record
from oomph.records.tables.found import Row, Values
from oomph.records.tools.made import (
    MOST_SAMPLES,
    Source,
    duration_ns,
    rate_ns,
    record_of,
    whole,
)
from oomph.records.tools.placed import Place, placed

ORIGIN: Final = "llama-bench"
SAME_SIZE: Final = 0.02
"""By how much of itself a size may differ and still be the same model's: Markdown rounds, and
llama.cpp leaves out tensors that it does not load."""
_FLASH_ATTN: Final = {str(number): word for word, number in FLASH_ATTN.items()} | {
    "false": "off",
    "true": "on",
}
_IDENTITY: Final = ("model_filename", "model_type", "model_size", "model_n_params")
_RESULTS: Final = frozenset(
    (
        *("n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts"),
        *("stddev_ts", "samples_ns", "samples_ts", "n_parallel", "test"),
    )
)
"""What the rows of one record differ in."""
_KNOWN: Final = frozenset(
    (
        *_IDENTITY,
        *(knob.bench for knob in KNOBS.values() if knob.bench),
        *("build_commit", "build_number", "cpu_info", "gpu_info", "backends", "devices"),
        *("cuda", "vulkan", "kompute", "metal", "sycl", "rpc", "opencl", "gpu_blas", "blas"),
        *("cpu_mask", "cpu_strict", "poll", "prio", "delay", "numa", "n_threads_batch"),
        *("use_mmap", "use_direct_io", "load_mode", "lazy_mode", "embeddings", "no_host"),
        *("repack", "fit_target", "fit_min_ctx", "mul_mat_q", "f16_kv", "low_vram"),
        *_RESULTS,
    )
)
"""What a row of some release of llama-bench has; a column besides is another program's."""
_UNSET: Final = ("", "none", "null")


def is_bench_row(values: Values) -> bool:
    """Whether the values are a row of llama-bench's."""
    tests = {"n_prompt", "n_gen"} <= set(values)
    return tests and any(name in values for name in ("avg_ts", "avg_ns", "samples_ns"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Setting:
    """What rows of one record share: the knobs, what no knob stands for, the place, the sizes."""

    values: Values
    config: dict[str, Any]
    unread: dict[str, str]
    place: Place
    n_bytes: int
    n_params: int

    @classmethod
    def of(cls, row: Row) -> Self:
        """The setting of a row; ValueError or ConfigError, in a few words, where it cannot be."""
        place, (config, unread) = placed(row), _config(row.values)
        if not place.is_sure:
            unread["backends"] = str(row.values["backends"])[:200]
        RunConfig.from_mapping({"n_devices": place.n_devices, **config}, where="it")
        return cls(
            values=row.values,
            config=config,
            unread=unread,
            place=place,
            n_bytes=_size(row.values, "model_size"),
            n_params=_size(row.values, "model_n_params"),
        )

    def key(self) -> str:
        """Equal for rows of one record."""
        own = (str(self.values.get(name)) for name in (*_IDENTITY, "build_commit"))
        place = [self.place.backend, *self.place.cards, self.place.n_devices]
        return json.dumps([self.config, self.unread, place, *own])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Read:
    """A row understood."""

    row: Row
    setting: _Setting
    key: str
    timing: dict[str, Any]


class BenchReader:
    """Understands the rows of one file: those that differ in their results alone share all else."""

    def __init__(self) -> None:
        self._settings: dict[Hashable, tuple[_Setting, str]] = {}

    def read(self, row: Row) -> _Read:
        """The row understood; ValueError or ConfigError, in a few words, where it cannot be."""
        same = (id(row.around), *(each for each in row.values.items() if each[0] not in _RESULTS))
        try:
            known = self._settings.get(same)
        except TypeError:  # a value that is a list
            same = (id(row), None)
            known = None
        if known is None:
            setting = _Setting.of(row)
            known = self._settings[same] = setting, setting.key()
        return _Read(row=row, setting=known[0], key=known[1], timing=_timing(row.values))


def bench_runs(rows: Iterable[_Read]) -> list[list[_Read]]:
    """The rows of each record: of one model, build, place and configuration."""
    groups: dict[str, list[_Read]] = {}
    for row in rows:
        groups.setdefault(row.key, []).append(row)
    return list(groups.values())


def bench_record(group: Sequence[_Read], source: Source) -> Record:
    """The record of a run's rows; their tests and depths are its timings."""
    setting, timings = group[0].setting, [row.timing for row in group]
    values, place = setting.values, setting.place
    n_ctx = max(each["n_tokens"] + each["n_depth"] for each in timings)
    return record_of(
        source,
        origin=ORIGIN,
        config={"n_ctx": n_ctx, "n_devices": place.n_devices, **setting.config},
        model=_model(setting, source.model),
        place=place,
        timings=timings,
        unread=setting.unread,
        started_at=_text(values, "test_time"),
        cpu=_text(values, "cpu_info"),
        commit=values.get("build_commit"),
        model_type=values.get("model_type"),
        build_number=values.get("build_number"),
    )


def _text(values: Values, name: str) -> str:
    return str(values.get(name) or "")[:200]


def _size(values: Values, name: str) -> int:
    return whole(values.get(name) or 0, name, most=2**50)


def _model(setting: _Setting, model: str | ModelIdentity | None) -> ModelIdentity:
    """Which model rows are of: the given file where the sizes agree, else what they say."""
    values, size, kind = setting.values, setting.n_bytes, _text(setting.values, "model_type")
    if isinstance(model, ModelIdentity) and (
        not size or is_same_size(model.tensor_bytes or model.file_bytes, size)
    ):
        return model
    file = _text(values, "model_filename").replace("\\", "/").rpartition("/")[2]
    name = model if isinstance(model, str) else file.removesuffix(".gguf") or kind
    return ModelIdentity(
        name=Path(name).name.removesuffix(".gguf"),
        path=model if isinstance(model, str) else file or kind,
        arch=kind.partition(" ")[0],
        file_bytes=0,
        header_sha256="",
        tensor_bytes=size or None,
        n_params=setting.n_params or None,
    )


def is_same_size(own: int, said: int) -> bool:
    """Whether two sizes in bytes may be one model's, see SAME_SIZE."""
    return abs(own - said) <= SAME_SIZE * max(own, said)


def _config(values: Values) -> tuple[dict[str, Any], dict[str, str]]:
    """The knobs that the row names, and the settings that no knob stands for, as written."""
    knobs, unread = settings_of(values)
    foreign = {
        name: str(value)[:200]
        for name, value in values.items()
        if name not in _KNOWN and value is not None and str(value).lower() not in _UNSET
    }
    return knobs, unread | foreign


def settings_of(values: Values) -> tuple[dict[str, Any], dict[str, str]]:
    """The knobs that any row with llama-bench's names tells, and those whose value oomph has not:
    `--split-mode tensor`, a KV type of a fork."""
    knobs: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for name, knob in KNOBS.items():
        text = values.get(knob.bench) if knob.bench else None
        if text is None or text == "":
            continue
        try:
            value = _knob(name, str(text).strip())
        except (ConfigError, ValueError):
            unread[str(knob.bench)] = str(text)[:200]
        else:
            if value is not None:
                knobs[name] = value
    return knobs, unread


@lru_cache(maxsize=1024)
def _knob(name: str, text: str) -> Any:
    """A knob's value as llama-bench writes it; None for what it does not know, was not asked, or
    came later and is at its default."""
    value = _bench_value(name, text)
    if value is not None:
        RunConfig.from_mapping({name: value})
        if KNOBS[name].is_later and value == getattr(RunConfig(), name):
            return None
    return value


def _bench_value(name: str, text: str) -> Any:
    knob, kind = KNOBS[name], KINDS[name]
    if kind == "bool":
        return (text.lower() not in ("0", "false", "off")) != knob.is_negated
    if name == "flash_attn":
        return _FLASH_ATTN.get(text.lower(), text.lower() if text.lower() in FLASH_ATTN else None)
    if kind.startswith("tuple"):
        shares = tuple(float(part) for part in text.split("/"))
        return shares if any(shares) else None
    if kind == "str | None":
        return None if text == "none" else text.replace(";", ",")
    value = knob_value(name, text)
    return None if value == 0 and "None" in kind else value


def _timing(values: Values) -> dict[str, Any]:
    n_prompt = whole(values.get("n_prompt") or 0, "n_prompt")
    n_gen = whole(values.get("n_gen") or 0, "n_gen")
    n_tokens = n_prompt + n_gen
    if not n_tokens:
        raise ValueError("it tests no token")
    samples = values.get("samples_ns")
    if isinstance(samples, list) and samples:
        found = [duration_ns(ns, "a sample") for ns in samples[:MOST_SAMPLES]]
    elif values.get("avg_ns"):
        found = [duration_ns(values["avg_ns"], "avg_ns")]
    else:
        found = [rate_ns(n_tokens, values.get("avg_ts"), "avg_ts")]
    parts = (("pp", n_prompt), ("tg", n_gen))
    return {
        "test": "+".join(f"{kind}{n}" for kind, n in parts if n),
        "n_tokens": n_tokens,
        "n_depth": whole(values.get("n_depth") or 0, "n_depth"),
        "samples_ns": found,
    }
