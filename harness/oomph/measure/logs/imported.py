"""A log of any llama.cpp program as a record: what it allocated, and how it ended.

Stands apart from `recording`, which knows what it had asked for: here the log is all there is. A
knob that it does not say stays llama.cpp's own; speeds are left out, because a server's sums do not
tell at which depth they were made. The breakdown that llama.cpp prints when it fits its parameters
to the card, before anything is allocated, is kept as its own dry run; the one at the end gives the
use that the driver saw.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from oomph.config import RunConfig
from oomph.errors import ConfigError, StoreError
from oomph.measure.logs.devices import UNKNOWN, Devices, read_devices
from oomph.measure.logs.lines import DECIMAL, read_lines
from oomph.measure.logs.outcome import Classification, classify
from oomph.measure.logs.prefixes import Line
from oomph.measure.logs.progress import Context, context_of
from oomph.measure.logs.reported import build_line, logged_knobs, read_buffers, read_reported
from oomph.measure.logs.runs import split_runs
from oomph.records.grouping import model_key
from oomph.records.schema import Buffers, ModelIdentity, Record
from oomph.units import GIB, MIB

ORIGIN: Final = "llama.cpp log"
_LOGGED: Final = re.compile(
    r"llama_model_loader:|print_info:|llama_context:|srv {1,40}load_model:|buffer size"
    r"|llm_load_|llama_new_context_with_model:|llama_init_from_model:|load_tensors:"
    r"|memory breakdown \[MiB\]"
)
_TABLE: Final = re.compile(r"^\| {0,80}model ")
_LOADED: Final = re.compile(r"llama_model_loader: loaded meta data .* from (.{1,1000}?) \(version")
_NAME: Final = re.compile(r"print_info: general\.name {1,40}= (.{1,1000})$")
_ARCH: Final = re.compile(r"print_info: arch {1,40}= (\S{1,64})")
_FILE_SIZE: Final = re.compile(r"print_info: file size {1,40}= " + DECIMAL + " (MiB|GiB)")
_PARAMS: Final = re.compile(r"print_info: model params {1,40}= " + DECIMAL + r" (M|B|T)\b")
_DONE: Final = re.compile(r"buffer size|graph (?:nodes|splits)|failed to|print_info: ")
"""Lines that belong to the model before."""
_BREAKDOWN: Final = re.compile(
    r"[|:] {1,40}- (?P<device>\S{1,64})[^|:]{0,200}[|:] {0,40}(?P<total>[0-9]{1,15}) = {1,40}"
    r"(?P<free>[0-9]{1,15}) \+ \( {0,40}(?P<own>[0-9]{1,15}) = {1,40}(?P<model>[0-9]{1,15}) \+"
    r" {1,40}(?P<context>[0-9]{1,15}) \+ {1,40}(?P<compute>[0-9]{1,15})\) \+ {1,40}"
    r"(?P<rest>-?[0-9]{1,15})(?: \||$)"
)
_BESIDE: Final = (Context.MTP, Context.PROJECTOR)
_SCALES: Final = {"MiB": MIB, "GiB": GIB, "M": 10**6, "B": 10**9, "T": 10**12}
TELLING: Final = "--log-verbosity 4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """One device's line of llama.cpp's memory breakdown, in whole MiB; `rest` is what it calls
    unaccounted."""

    device: str
    total: int
    free: int
    own: int
    model: int
    context: int
    compute: int
    rest: int

    @property
    def is_dry(self) -> bool:
        """Whether it was printed before the allocation: then all of its own is missing from what is
        used."""
        return self.own > 0 and self.rest <= -self.own // 2


def is_log(path: Path) -> bool:
    """Whether the file is a llama.cpp program's log, not a table that one printed into its log."""
    lines = _read(path)
    return any(map(_LOGGED.search, lines)) and not any(map(_TABLE.search, lines))


def _read(path: Path) -> list[Line]:
    try:
        return read_lines(path)
    except ConfigError as error:
        raise StoreError(str(error)) from None


def read_log(path: Path, *, model: str | ModelIdentity | None = None) -> list[Record]:
    """A record for each model that the log loads and makes a context for, or fails to.

    Raises StoreError where the log tells neither buffers nor a failure.
    """
    lines = _read(path)
    parts = [(run, part) for run in split_runs(lines) for part in _loads(run) if _is_telling(part)]
    if not parts:
        raise StoreError(f"{path} tells no buffer sizes; start llama.cpp's program with {TELLING}")
    breakdowns = read_breakdowns(lines) if len(parts) == 1 else []
    try:
        return [_record(path, run, part, breakdowns, model) for run, part in parts]
    except ConfigError as error:  # a knob that llama.cpp cannot have had
        raise StoreError(f"{path}: {error}") from None


def _loads(lines: Sequence[str]) -> list[Sequence[str]]:
    """A run's log cut at each model that is loaded; what introduces a model is part of it."""
    cuts = [0]
    for at, line in enumerate(lines):
        if _LOADED.search(line):
            start = at
            while start > cuts[-1] and not _DONE.search(lines[start - 1]):
                start -= 1
            if start > cuts[-1]:
                cuts.append(start)
    return [lines[start:end] for start, end in zip(cuts, [*cuts[1:], len(lines)], strict=True)]


def _is_telling(lines: Sequence[str]) -> bool:
    """Whether the lines show buffers, or a failure that has a name."""
    found = classify(None, lines)
    has_sizes = any(read_buffers(lines).model_dump().values()) or read_breakdowns(lines)
    return bool(has_sizes) or (found.failed and found.outcome != "unknown")


def read_breakdowns(lines: Sequence[str]) -> list[Breakdown]:
    """Every device's line of every breakdown, in the order printed."""
    found = (_BREAKDOWN.search(line) for line in lines if "breakdown" in line)
    return [
        Breakdown(device=match["device"], **{name: int(match[name]) for name in _FIGURES})
        for match in found
        if match
    ]


_FIGURES: Final = ("total", "free", "own", "model", "context", "compute", "rest")


def _record(
    path: Path,
    run: Sequence[str],
    part: Sequence[str],
    breakdowns: Sequence[Breakdown],
    model: str | ModelIdentity | None,
) -> Record:
    reported, found = read_reported(part), classify(None, part)
    devices = read_devices(part)
    if not devices.cards or devices.backend == UNKNOWN:
        devices = read_devices(run)
    config, identity = _config(part, len(devices.cards)), _model(part, model)
    memory = [_series(last, devices) for last in _last(breakdowns).values()]
    totals = {card.device: card.total_bytes for card in devices.cards} | {
        each.device: each.total * MIB for each in breakdowns
    }
    cards = [
        {"name": card.name} | ({"usable_bytes": totals[card.device]} if totals[card.device] else {})
        for card in devices.cards
        if card.name
    ]
    build = build_line(run)
    point_id = _digest([model_key(identity), config.to_dict()], 12)
    buffers, beside = _by_context(part)
    told = config.to_dict()
    if not (knows_context := "n_ctx" in logged_knobs(part)):
        del told["n_ctx"]
    return Record.model_validate(
        {
            "record_id": f"{point_id}-{_digest(list(part), 8)}",
            "point_id": point_id,
            "sweep": path.stem,
            "origin": ORIGIN,
            "label": f"n_ctx={told.get('n_ctx', '?')}",
            "started_at": "",
            "wall_ns": 0,
            "model": identity,
            "config": told,
            "reported": reported,
            "buffers": buffers,
            "memory": memory,
            "environment": {
                "machine": f"imported from a {ORIGIN}",
                "os": "",
                "python": "",
                "cpu": "",
                "cpu_count": None,
                "memory_bytes": None,
                "backend": devices.backend,
                "gpus": cards,
                "llama_cpp_commit": build[2] if build else None,
            },
            "outcome": _outcome(found, buffers, knows_context=knows_context),
            "conditions": {
                "dry_run_mib": {each.device: each.own for each in breakdowns if each.is_dry},
                "beside": beside,
            },
        }
    )


def _outcome(found: Classification, buffers: Buffers, *, knows_context: bool) -> dict[str, Any]:
    """How the load ended: `ok` where its compute buffers were placed and nothing failed, even if
    the log ends before the program worked; `unknown` where the figures cannot be told apart from
    those of another context."""
    if found.failed and not (found.outcome == "unknown" and buffers.compute_mib):
        return {
            "label": found.outcome,
            "stage": found.stage,
            "message": found.advice,
            "evidence": found.evidence,
        }
    if knows_context or not any(buffers.model_dump().values()):
        return {"label": "ok", "evidence": found.evidence}
    message = "the log tells buffers and not their n_ctx: give its beginning too"
    return {"label": "unknown", "message": message, "evidence": found.evidence}


def _by_context(lines: Sequence[str]) -> tuple[Buffers, dict[str, Buffers]]:
    """The buffers of the model's own context, and by name those of an MTP head's and a projector's,
    which are printed in the same words."""
    own: list[str] = []
    others: dict[str, list[str]] = {}
    context: Context | None = None
    for line in lines:
        context = context_of(line) or context
        if context in _BESIDE:
            others.setdefault(context.value, []).append(line)
        else:
            own.append(line)
    found = {name: read_buffers(each) for name, each in others.items()}
    nothing = Buffers()
    return read_buffers(own), {name: each for name, each in found.items() if each != nothing}


def _config(lines: Sequence[str], n_devices: int) -> RunConfig:
    """The knobs as llama.cpp says it took them."""
    return RunConfig().with_(n_devices=n_devices, **logged_knobs(lines))


def _model(lines: Sequence[str], model: str | ModelIdentity | None) -> ModelIdentity:
    if isinstance(model, ModelIdentity):
        return model
    file = (_first(_LOADED, lines, 1) or "").replace("\\", "/").rpartition("/")[2]
    return ModelIdentity(
        name=_first(_NAME, lines, 1) or file.removesuffix(".gguf"),
        path=model or file,
        arch=_first(_ARCH, lines, 1) or "",
        file_bytes=0,
        header_sha256="",
        tensor_bytes=_amount(_FILE_SIZE, lines),
        n_params=_amount(_PARAMS, lines),
    )


def _first(pattern: re.Pattern[str], lines: Sequence[str], group: int) -> str | None:
    return next((match[group].strip() for line in lines if (match := pattern.search(line))), None)


def _amount(pattern: re.Pattern[str], lines: Sequence[str]) -> int | None:
    match = next((match for line in lines if (match := pattern.search(line))), None)
    return round(float(match[1]) * _SCALES[match[2]]) if match else None


def _last(breakdowns: Sequence[Breakdown]) -> dict[str, Breakdown]:
    """The last line of each card that was printed with everything in place."""
    return {each.device: each for each in breakdowns if not each.is_dry}


def _series(last: Breakdown, devices: Devices) -> dict[str, Any]:
    """The card's use at the end; before the load it had what was not free then, the process's own
    context in it."""
    free = next((card.free_bytes for card in devices.cards if card.device == last.device), None)
    return {
        "probe": "llama.cpp",
        "quantity": "vram",
        "device": last.device,
        "method": "device_total",
        "peak_bytes": (last.total - last.free) * MIB,
        "baseline_bytes": None if free is None else last.total * MIB - free,
    }


def _digest(content: list[Any], n_digits: int) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()[
        :n_digits
    ]
