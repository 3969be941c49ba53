"""What one record says, in the units that views show: medians, sums, flags.

Stands between the records, which keep raw samples and llama.cpp's printed MiB, and tables and
plots, so that both compute the same number in the same way. Everything is a pure function of a
`Record`; what the record does not hold is None or an empty tuple, never 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, is_card
from oomph.records.disturbance import counting_samples
from oomph.records.grouping import Setting, setting, setting_words
from oomph.records.ladder import ladder_stops
from oomph.records.schema import MemorySeries, Record, Timing
from oomph.units import MIB, count

COMPONENTS: Final = ("weights", "kv_cache", "recurrent", "compute", "output", "overhead")
"""DeviceMemory's parts in the order they are stacked."""

_BUFFER_FIELDS: Final = {
    "weights": "model_mib",
    "kv_cache": "kv_cache_mib",
    "recurrent": "recurrent_mib",
    "compute": "compute_mib",
    "output": "output_mib",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Tokens per second of one test at one depth: the median of the samples, the slowest and the
    fastest.

    Samples that something disturbed count only where there are no others; the rate is then a
    disturbed one.
    """

    test: str
    n_depth: int
    tokens_per_s: float
    slowest: float
    fastest: float
    n_samples: int
    is_disturbed: bool = False


def succeeded(record: Record) -> bool:
    """Whether the point was measured to its end."""
    return record.outcome.label == "ok"


def was_skipped(record: Record) -> bool:
    """Whether the point was not tried, because another that asks for less had failed."""
    return record.outcome.label == "skipped"


def n_ctx(record: Record) -> int:
    """The context that was asked for: what a reader looks a point up by (llama.cpp pads it)."""
    return int(record.config["n_ctx"])


def n_expert_used(record: Record) -> int | None:
    """Active experts, None for a dense model or where neither the sweep nor the log says."""
    reported = record.reported.n_expert_used
    return (record.config.get("n_expert_used") if reported is None else reported) or None


NEXT_FILL: Final = 1.25
"""Of the prompts between a ladder's stops, each that lies so much deeper than the last is shown."""
UNSET: Final = "not set"


def experts_word(experts: int | None) -> str:
    """The number of active experts; a dense model has none, and an imported row may not say."""
    return UNSET if experts is None else str(experts)


def run_words(record: Record, settings: Iterable[Setting]) -> str:
    """The run by its axes, and by what tells its setting from the other `settings` on the page."""
    experts = n_expert_used(record)
    words = (f"n_ctx {count(n_ctx(record))}", f"{experts} experts" if experts else "")
    return ", ".join(part for part in (*words, setting_words(setting(record), settings)) if part)


def has_cards(record: Record) -> bool:
    """Whether the memory that counts is a card's; without one everything is on llama.cpp's `CPU`
    devices."""
    return record.environment.backend != "cpu"


def card_bytes(record: Record) -> int | None:
    """What the record's cards can give, together; None without a card, or where one does not
    say."""
    cards = record.environment.gpus
    sizes = [size for card in cards if isinstance(size := card.get("usable_bytes"), int)]
    return sum(sizes) if sizes and len(sizes) == len(cards) else None


def memory_limit_bytes(record: Record) -> int | None:
    """The limit that the worker was put under, None where it had the whole machine."""
    limit = record.limits.get("memory_bytes")
    return int(limit) if limit is not None else None


def measured_components(record: Record) -> dict[str, int]:
    """Bytes by component from llama.cpp's own buffer lines, of the memory that counts; empty where
    it printed none.

    Lines of one device add up, but for the compute buffer, which is printed again each time it is
    reserved: the largest counts.
    """
    found: dict[str, int] = {}
    for component, field in _BUFFER_FIELDS.items():
        devices: Mapping[str, list[float]] = getattr(record.buffers, field)
        together = max if component == "compute" else sum
        sizes = [
            together(lines)
            for device, lines in devices.items()
            if lines and is_card(device) == has_cards(record)
        ]
        if sizes:
            found[component] = round(sum(sizes) * MIB)
    return found


def predicted_components(memory: MemoryEstimate) -> dict[str, int]:
    """Bytes by component of a prediction, of the same memory: the cards', or the host's where there
    is no card."""
    cards = [device for name, device in memory.devices.items() if is_card(name)]
    counted: list[DeviceMemory] = cards or list(memory.devices.values())
    sums = {
        component: sum(getattr(device, f"{component}_bytes") for device in counted)
        for component in COMPONENTS
    }
    return {component: n_bytes for component, n_bytes in sums.items() if n_bytes}


def peak_series(record: Record) -> MemorySeries | None:
    """The probe's series that holds the measured peak: the cards' by NVML, else the child's own
    memory on the host.

    With several cards the one with the highest peak; None where no probe saw the point.
    """
    wanted = [series for series in record.memory if is_card(series.device) == has_cards(record)]
    return max(
        wanted,
        key=lambda series: (_PREFERRED.get(series.quantity, 0), series.peak_bytes),
        default=None,
    )


_PREFERRED: Final = {"vram": 3, "rss": 2, "pss": 1}


def peak_bytes(record: Record) -> int | None:
    """The measured peak: summed over the cards, or the child's resident memory on a machine without
    one."""
    series = peak_series(record)
    if series is None:
        return None
    if not has_cards(record):
        return series.peak_bytes
    return sum(
        s.peak_bytes for s in record.memory if is_card(s.device) and s.quantity == series.quantity
    )


def baseline_bytes(record: Record) -> int | None:
    """What the process of the peak took before the model was loaded, over the same devices; None
    where unknown."""
    series = peak_series(record)
    if series is None:
        return None
    same = [
        s
        for s in record.memory
        if s.quantity == series.quantity and is_card(s.device) == has_cards(record)
    ]
    sizes = [s.baseline_bytes for s in same if s.baseline_bytes is not None]
    return sum(sizes) if len(sizes) == len(same) else None


def shown_timings(record: Record) -> list[Timing]:
    """The warm timings that a page shows, in their order.

    A ladder times every prompt that fills a context, hundreds of them. Shown are those at its
    stops (where decoding is timed too), and of the prompts in between each that lies a quarter
    deeper than the last shown; fits use all.
    """
    warm = [t for t in record.timings if t.samples_ns and not t.test.startswith("cold")]
    stops = ladder_stops(record)
    if not stops:
        return warm
    shown, last = [], 0
    for timing in sorted(warm, key=lambda timing: timing.n_depth):
        is_stop = timing.n_depth in stops
        if is_stop or timing.n_depth >= last * NEXT_FILL:
            shown.append(timing)
            last = last if is_stop else timing.n_depth
    return shown


def rates(record: Record, kind: str) -> tuple[Rate, ...]:
    """The record's tests of `kind` (`"pp"` or `"tg"`), one a depth, ascending; warm and of a single
    sequence."""
    tests: dict[tuple[str, int], list[Timing]] = {}
    for timing in shown_timings(record):
        if timing.test.startswith(kind) and timing.n_parallel == 1:
            tests.setdefault((timing.test, timing.n_depth), []).append(timing)
    return tuple(_rate(record, *tests[key]) for key in sorted(tests, key=lambda key: key[1]))


def _rate(record: Record, *timings: Timing) -> Rate:
    """The rate of timings of one test at one depth."""
    samples, is_disturbed = counting_samples(record, timings)
    found = [ns / timings[0].n_tokens for ns in samples]
    return Rate(
        test=timings[0].test,
        n_depth=timings[0].n_depth,
        tokens_per_s=1e9 / median(found),
        slowest=1e9 / max(found),
        fastest=1e9 / min(found),
        n_samples=len(found),
        is_disturbed=is_disturbed,
    )


def unread_reasons(record: Record) -> tuple[str, ...]:
    """What the probes could not read of the cards, with the reasons that NVML gave, and which took
    long to answer."""
    found = [
        f"{probe} once took {took_s:.1f} s to answer"
        for probe, took_s in (record.conditions.get("slow_probes") or {}).items()
    ]
    for device, card in record.conditions.get("cards", {}).items():
        by_reason: dict[str, list[str]] = {}
        for name, reason in (card.get("unread") or {}).items():
            by_reason.setdefault(str(reason), []).append(str(name))
        found += [
            f"{device}: NVML tells no {', '.join(names)} ({reason})"
            for reason, names in by_reason.items()
        ]
    return tuple(found)
