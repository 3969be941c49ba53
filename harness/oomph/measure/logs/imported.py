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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from oomph.config import RunConfig
from oomph.errors import ConfigError, StoreError
from oomph.frozen import frozen
from oomph.measure.logs.breakdown import Breakdown, read_breakdowns
from oomph.measure.logs.contexts import buffers_by_context
from oomph.measure.logs.devices import Devices, read_devices
from oomph.measure.logs.lines import DECIMAL, read_head, read_lines
from oomph.measure.logs.outcome import Classification, classify
from oomph.measure.logs.perplexity import TextScored, is_scored, read_scored
from oomph.measure.logs.prefixes import Line
from oomph.measure.logs.progress import Context
from oomph.measure.logs.reported import build_line, logged_knobs, read_reported
from oomph.measure.logs.runs import split_runs
from oomph.records.device_lines import UNKNOWN
from oomph.records.grouping import model_key
from oomph.records.schema import Buffers, ModelIdentity, Quality, Record
from oomph.records.tools.made import Source, record_of
from oomph.records.tools.placed import Place
from oomph.units import GIB, MIB

ORIGIN: Final = "llama.cpp log"
_LOGGED: Final = re.compile(
    r"llama_model_loader:|print_info:|llama_context:|srv {1,40}load_model:|buffer size"
    r"|llm_load_|llama_new_context_with_model:|llama_init_from_model:|load_tensors:"
    r"|memory breakdown \[MiB\]|memory_breakdown.{0,10}: +\|? +- "
    r"|over [0-9]{1,9} chunks, n_ctx=|Final estimate: PPL = |^\[1\][0-9]{1,12}\.[0-9]{4},"
)
_LOADED: Final = re.compile(r"llama_model_loader: loaded meta data .* from (.{1,1000}?) \(version")
_NAME: Final = re.compile(r"print_info: general\.name {1,40}= (.{1,1000})$")
_ARCH: Final = re.compile(r"print_info: arch {1,40}= (\S{1,64})")
_FILE_SIZE: Final = re.compile(r"print_info: file size {1,40}= " + DECIMAL + " (MiB|GiB)")
_PARAMS: Final = re.compile(r"print_info: model params {1,40}= " + DECIMAL + r" (M|B|T)\b")
_DONE: Final = re.compile(r"buffer size|graph (?:nodes|splits)|failed to|print_info: ")
"""Lines that belong to the model before."""
_BESIDE: Final = (Context.MTP, Context.PROJECTOR)
_SCALES: Final = {"MiB": MIB, "GiB": GIB, "M": 10**6, "B": 10**9, "T": 10**12}
TELLING: Final = "--log-verbosity 4"


def is_log(path: Path) -> bool:
    """Whether the file is a llama.cpp program's log, by its beginning; it may hold tables too."""
    return any(map(_LOGGED.search, _read(path, read_head)))


def _read(path: Path, read: Callable[[Path], list[Line]] = read_lines) -> list[Line]:
    try:
        return read(path)
    except ConfigError as error:
        raise StoreError(str(error)) from None


def read_log(path: Path, *, model: str | ModelIdentity | None = None) -> list[Record]:
    """A record for each model that the log loads and makes a context for, or fails to; what
    llama-perplexity scored is the last one's.

    Raises StoreError where the log tells neither buffers nor a failure nor a text that was scored.
    """
    lines = _read(path)
    scored = read_scored(path) if any(map(is_scored, lines)) else None
    loads = [load for run in split_runs(lines) for load in _loads(run) if load.is_telling]
    if not loads and scored:
        return [_bare_record(path, scored, lines, model)]
    if not loads:
        raise StoreError(f"{path} tells no buffer sizes; start llama.cpp's program with {TELLING}")
    breakdowns = read_breakdowns(lines) if len(loads) == 1 else []
    try:
        records = [_record(path, load, breakdowns, model) for load in loads]
        return [*records[:-1], _with_text(records[-1], scored)] if scored else records
    except ConfigError as error:  # a knob that llama.cpp cannot have had
        raise StoreError(f"{path}: {error}") from None


def _with_text(record: Record, scored: TextScored) -> Record:
    quality = Quality.model_validate(scored.quality())
    return record.model_copy(update={"quality": quality, "workload": scored.workload()})


def _bare_record(
    path: Path, scored: TextScored, lines: Sequence[Line], model: str | ModelIdentity | None
) -> Record:
    """Of a log that tells what was scored and nothing of memory; its context is a chunk's, or as
    many as were judged at once where it says so."""
    knobs, devices = logged_knobs(lines), read_devices(lines)
    told = _model(lines, model)
    source = Source(path=path, model=told if told.name else model)
    return record_of(
        source,
        origin=ORIGIN,
        config={"n_ctx": scored.n_ctx, **knobs},
        model=source.named_model(),
        place=Place(
            backend=devices.backend,
            cards=tuple(card.name for card in devices.cards if card.name),
            n_devices=len(devices.cards),
        ),
        timings=[],
        commit=found[2] if (found := build_line(lines)) else None,
        quality=scored.quality(),
        workload=scored.workload(),
    )


@frozen
class _Load:
    """What a run printed about one model that it loaded; `beside` are the buffers of the contexts
    in _BESIDE, which are printed in the same words."""

    lines: Sequence[Line]
    found: Classification
    buffers: Buffers
    beside: dict[str, Buffers]
    devices: Devices
    commit: str | None

    @property
    def is_telling(self) -> bool:
        """Whether it shows sizes, or a failure that has a name."""
        has_sizes = self.buffers != Buffers() or self.beside or read_breakdowns(self.lines)
        return bool(has_sizes) or (self.found.failed and self.found.outcome != "unknown")


def _loads(run: Sequence[Line]) -> Iterator[_Load]:
    """A run's log cut at each model that is loaded; what introduces a model is part of it, and the
    cards and the build that a run names count for all."""
    cuts = [0]
    for at, line in enumerate(run):
        if _LOADED.search(line):
            start = at
            while start > cuts[-1] and not _DONE.search(run[start - 1]):
                start -= 1
            if start > cuts[-1]:
                cuts.append(start)
    build, all_devices = build_line(run), read_devices(run)
    for start, end in zip(cuts, [*cuts[1:], len(run)], strict=True):
        lines = run[start:end]
        devices = read_devices(lines) if len(cuts) > 1 else all_devices
        buffers, beside = buffers_by_context(lines, _BESIDE)
        yield _Load(
            lines=lines,
            found=classify(None, lines),
            buffers=buffers,
            beside=beside,
            devices=devices if devices.cards and devices.backend != UNKNOWN else all_devices,
            commit=build[2] if build else None,
        )


def _record(
    path: Path,
    load: _Load,
    breakdowns: Sequence[Breakdown],
    model: str | ModelIdentity | None,
) -> Record:
    devices, knobs = load.devices, logged_knobs(load.lines)
    config = RunConfig().with_(n_devices=len(devices.cards), **knobs)
    identity = _model(load.lines, model)
    memory = [_series(last, devices) for last in _last(breakdowns).values()]
    totals = {card.device: card.total_bytes for card in devices.cards} | {
        each.device: each.total * MIB for each in breakdowns
    }
    cards = [
        {"name": card.name} | ({"usable_bytes": totals[card.device]} if totals[card.device] else {})
        for card in devices.cards
        if card.name
    ]
    point_id = _digest([model_key(identity), config.to_dict()], 12)
    told = config.to_dict()
    if "n_ctx" not in knobs:
        del told["n_ctx"]
    return Record.model_validate(
        {
            "record_id": f"{point_id}-{_digest(list(load.lines), 8)}",
            "point_id": point_id,
            "sweep": path.stem,
            "origin": ORIGIN,
            "label": f"n_ctx={knobs.get('n_ctx', '?')}",
            "started_at": "",
            "wall_ns": 0,
            "model": identity,
            "config": told,
            "reported": read_reported(load.lines),
            "buffers": load.buffers,
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
                "llama_cpp_commit": load.commit,
            },
            "outcome": _outcome(load.found, load.buffers, knows_context="n_ctx" in knobs),
            "conditions": {
                "dry_run_mib": {each.device: each.own for each in breakdowns if each.is_dry},
                "beside": load.beside,
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
