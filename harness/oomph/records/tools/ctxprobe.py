"""ctxprobe's rows as records: one context that was tried, whether it ran, the card's peak.

ctxprobe asks nvidia-smi for the peak (its README), so its card is one of NVIDIA's.
"""

from typing import Any, Final

from oomph.records.schema import Record
from oomph.records.tables.found import Row, Values
from oomph.records.tools.made import Source, rate_ns, record_of, timing, whole
from oomph.records.tools.placed import Place, place_of_lines
from oomph.units import MIB

_NEEDS: Final = frozenset({"context", "result", "peak_vram_mib"})
_WENT_WELL: Final = ("ok", "success", "pass")
_CARD: Final = Place(backend="cuda", cards=(), n_devices=1)
MOST_MIB: Final = 1 << 30


def is_probe_row(values: Values) -> bool:
    """Whether the values are a row of ctxprobe's."""
    return set(values) >= _NEEDS


def probe_record(row: Row, source: Source) -> Record:
    """The row's record; ValueError or ConfigError, in a few words, where it is none."""
    values = row.values
    result = str(values["result"]).strip()
    peak = float(values["peak_vram_mib"] or 0)
    if not 0 <= peak <= MOST_MIB or not result:
        raise ValueError(f"peak_vram_mib is {peak:g}, and result {result[:40]!r}")
    return record_of(
        source,
        origin="ctxprobe",
        config={"n_ctx": whole(values["context"], "context")},
        model=source.named_model(),
        place=place_of_lines(row.around) or _CARD,
        timings=_timings(values),
        outcome={"label": _label(result), "message": result[:400]},
        memory=[_memory(peak)] if peak else [],
    )


def _label(result: str) -> str:
    if result.lower() in _WENT_WELL:
        return "ok"
    return "oom" if "oom" in result.lower() else "crash"


def _timings(values: Values) -> list[dict[str, Any]]:
    n_prompt = whole(values.get("prompt_tokens") or 0, "prompt_tokens")
    found = []
    for kind, key, n_tokens in (("pp", "prefill_tps", n_prompt), ("tg", "generate_tps", 1)):
        if n_tokens and float(values.get(key) or 0) > 0:
            found.append(timing(kind, n_tokens, rate_ns(n_tokens, values[key], key)))
    return found


def _memory(peak_mib: float) -> dict[str, Any]:
    return {
        "probe": "ctxprobe",
        "quantity": "vram",
        "device": "CUDA0",
        "peak_bytes": round(peak_mib * MIB),
    }
