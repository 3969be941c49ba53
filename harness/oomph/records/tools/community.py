"""What people hand in to llmfit and localmaxxing as records: one run each, by some engine.

llmfit's file has `hardware` and `results`, localmaxxing's rows have `tokSOut` and nest or flatten
`hardware`, `model` and `engine`. Both time whole requests; such a record keeps what it was told
under `said`, and calibrates nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from oomph.gguf.ggml_types import KV_CACHE_TYPES
from oomph.records.device_lines import UNKNOWN
from oomph.records.schema import Record
from oomph.records.tables.found import Row, Values
from oomph.records.tools.made import (
    Source,
    rate_ns,
    record_of,
    said,
    smallest_context,
    timing,
    whole,
)
from oomph.records.tools.placed import MOST_CARDS, Place, place_of_lines, word_of

_LLMFIT: Final = frozenset({"model", "provider", "avgTps"})


def is_community_row(values: Values) -> bool:
    """Whether the values are a file of llmfit's, one of its results, or a row of localmaxxing's."""
    return _is_submission(values) or set(values) >= _LLMFIT or "tokSOut" in values or _rows(values)


def _is_submission(values: Values) -> bool:
    return isinstance(values.get("hardware"), dict) and isinstance(values.get("results"), list)


def _rows(values: Values) -> bool:
    """Whether it is a page of localmaxxing's answer, or a payload kept in an envelope."""
    rows = values.get("rows") or values.get("payload")
    first = rows[0] if isinstance(rows, list) and rows else rows
    return isinstance(first, dict) and "tokSOut" in first


def community_records(row: Row, source: Source) -> Iterator[Record | ValueError]:
    """The runs of the object, one by one; in place of one that cannot be, why."""
    for values in _runs(row.values):
        try:
            if "tokSOut" in values:
                yield _localmaxxing(values, row, source)
            else:
                yield _llmfit(values, row, source)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            yield ValueError(f"{values.get('model', 'a run')}: {error}"[:200])


def _runs(values: Values) -> Iterator[Values]:
    if _is_submission(values):
        yield from (
            {**each, "hardware": values["hardware"]}
            for each in values["results"]
            if isinstance(each, dict)
        )
    elif _rows(values):
        rows = values.get("rows") or values.get("payload")
        yield from (each for each in (rows if isinstance(rows, list) else [rows]) if each)
    else:
        yield values


def _llmfit(values: Values, row: Row, source: Source) -> Record:
    n_gen = max(round(float(values.get("avgOutputTokens") or 1)), 1)
    whole(n_gen, "avgOutputTokens")
    timings = [timing("tg", n_gen, rate_ns(n_gen, values["avgTps"], "avgTps"))]
    hardware = _part(values, "hardware")
    name = str(hardware.get("hardwareName") or "")
    is_cpu = hardware.get("hwClass") == "CPU_ONLY"
    place = (
        Place(backend="cpu", cards=(), n_devices=0)
        if is_cpu
        else _place(row, "", name, hardware.get("gpuCount"))
    )
    return record_of(
        source,
        origin="llmfit",
        config={"n_ctx": smallest_context(timings)},
        model=source.named_model(str(values["model"])),
        place=place,
        timings=timings,
        unread={"engine": str(values.get("provider"))[:200]},
        cpu=str(hardware.get("cpu") or "")[:200],
        said=said(values),
    )


def _localmaxxing(values: Values, row: Row, source: Source) -> Record:
    hardware, engine = _part(values, "hardware"), _part(values, "engine")
    n_prompt = whole(values.get("promptTokens") or 0, "promptTokens")
    n_gen = whole(values.get("outputTokens") or 0, "outputTokens") or 1
    rate = rate_ns(n_gen, values["tokSOut"], "tokSOut")
    timings = [timing("tg", n_gen, rate, n_depth=n_prompt)]
    if n_prompt and values.get("tokSPrefill"):
        ns = rate_ns(n_prompt, values["tokSPrefill"], "tokSPrefill")
        timings.insert(0, timing("pp", n_prompt, ns))
    n_ctx = whole(values.get("contextLength") or 0, "contextLength")
    backend = str(engine.get("backend") or values.get("backend") or "")
    return record_of(
        source,
        origin="localmaxxing",
        config={"n_ctx": n_ctx or smallest_context(timings)} | _flags(values),
        model=source.named_model(_model_name(values)),
        place=_place(row, backend, str(hardware.get("gpuName") or ""), hardware.get("gpuCount")),
        timings=timings,
        unread={
            "engine": str(engine.get("engineName") or values.get("engineName") or "")[:200],
            "batchSize": str(values.get("batchSize", ""))[:40],
        },
        cpu=str(hardware.get("cpu") or "")[:200],
        started_at=str(values.get("createdAt") or "")[:40],
        said=said(values) | said(engine) | said(_part(values, "engineFlags")),
    )


def _part(values: Values, name: str) -> Mapping[str, Any]:
    part = values.get(name)
    return part if isinstance(part, dict) else {}


def _model_name(values: Values) -> str:
    model = values.get("model")
    if isinstance(model, dict):
        model = model.get("hfId") or model.get("displayName")
    return str(model or values.get("hfId") or "")


def _flags(values: Values) -> dict[str, Any]:
    """The knobs of its flags that oomph has too."""
    flags = _part(values, "engineFlags")
    kind = {"fp16": "f16"}.get(str(flags.get("kvCacheDtype")), str(flags.get("kvCacheDtype")))
    found: dict[str, Any] = {"type_k": kind, "type_v": kind} if kind in KV_CACHE_TYPES else {}
    if isinstance(flags.get("flashAttn"), bool):
        found["flash_attn"] = "on" if flags["flashAttn"] else "off"
    if isinstance(flags.get("gpuLayers"), int) and -1 <= flags["gpuLayers"] < 10_000:
        found["n_gpu_layers"] = int(flags["gpuLayers"])
    return found


def _place(row: Row, backend: str, card: str, n_cards: Any) -> Place:
    """By what is told, else by the lines above."""
    if not backend and not card and (seen := place_of_lines(row.around)):
        return seen
    count = n_cards if isinstance(n_cards, int) and 0 < n_cards <= MOST_CARDS else 1
    cards = (card[:200],) * count if card else ()
    word = word_of(backend) if backend else UNKNOWN
    return Place(backend=word, cards=cards, n_devices=len(cards))
