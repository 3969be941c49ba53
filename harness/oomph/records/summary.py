"""From a record to what a page shows of it: medians, sums, flags, each computed once.

Records keep raw samples and llama.cpp's printed MiB; tables, figures and sentences share what
follows from them. What a record does not hold is None or empty, never 0.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Self

from oomph.estimate.prediction import is_card
from oomph.frozen import frozen
from oomph.records.disturbance import counting_samples, remarks
from oomph.records.grouping import Setting, grouped, setting, subject
from oomph.records.ladder import ladder_stops
from oomph.records.perplexity import Perplexity, perplexity
from oomph.units import MIB

if TYPE_CHECKING:
    from oomph.records.schema import MemorySeries, Record, Timing


NEXT_FILL: Final = 1.25
"""Of the prompts between a ladder's stops, each that lies so much deeper than the last is shown."""
_BUFFER_FIELDS: Final = {
    "weights": "model_mib",
    "kv_cache": "kv_cache_mib",
    "recurrent": "recurrent_mib",
    "compute": "compute_mib",
    "output": "output_mib",
}
_PREFERRED: Final = {"vram": 3, "rss": 2, "pss": 1}
"""Of the quantities that probes saw, which one is the peak's."""


@frozen
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordSummary:
    """A record and what follows from it.

    `n_ctx` is the context that was asked for, by which a reader looks a point up (llama.cpp pads
    it); `n_expert_used` is None for a dense model or where neither the sweep nor the log says.
    `has_cards` says that the memory that counts is the cards'; without one everything is on
    llama.cpp's `CPU` devices. `memory_limit_bytes` is what the worker was put under, None where it
    had the whole machine. `components` are bytes of the memory that counts, by llama.cpp's own
    buffer lines. `peak_bytes` is summed over the cards, or the worker's resident memory without
    one, `baseline_bytes` the same before the model was loaded. `timings` are the warm ones that a
    page shows, `prefill` and `decode` their rates for a single sequence, one per depth, ascending.
    `remarks` are what a reader has to know before believing the point.
    """

    record: "Record"
    subject: Hashable
    setting: Setting
    n_ctx: int
    n_expert_used: int | None
    has_cards: bool
    memory_limit_bytes: int | None
    components: Mapping[str, int]
    peak_bytes: int | None
    baseline_bytes: int | None
    timings: "tuple[Timing, ...]"
    prefill: tuple[Rate, ...]
    decode: tuple[Rate, ...]
    perplexity: Perplexity | None
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, record: "Record") -> Self:
        """What follows from the record; KeyError for one without `n_ctx`."""
        peak, timings = _peak_series(record), _shown_timings(record)
        limit = record.limits.get("memory_bytes")
        return cls(
            record=record,
            subject=subject(record),
            setting=setting(record),
            n_ctx=int(record.config["n_ctx"]),
            n_expert_used=_n_expert_used(record),
            has_cards=record.environment.has_cards,
            memory_limit_bytes=int(limit) if isinstance(limit, int | float) else None,
            components=_components(record),
            peak_bytes=_peak_bytes(record, peak),
            baseline_bytes=_baseline_bytes(record, peak),
            timings=tuple(timings),
            prefill=_rates(record, timings, "pp"),
            decode=_rates(record, timings, "tg"),
            perplexity=perplexity(record),
            remarks=remarks(record),
        )

    @property
    def succeeded(self) -> bool:
        """Whether the point was measured to its end."""
        return self.record.outcome.label == "ok"

    @property
    def was_skipped(self) -> bool:
        """Whether the point was not tried, because another that asks for less had failed."""
        return self.record.outcome.label == "skipped"

    def rates(self, kind: str) -> tuple[Rate, ...]:
        """`prefill` for `"pp"`, `decode` for `"tg"`."""
        return self.prefill if kind == "pp" else self.decode


def summaries_of(records: "Iterable[Record]") -> list[RecordSummary]:
    """What follows from each of the records."""
    return [RecordSummary.of(record) for record in records]


def by_subject(summaries: Iterable[RecordSummary]) -> list[list[RecordSummary]]:
    """Those of each model on one machine with the same cards, in the order in which these first
    appear."""
    return list(grouped(summaries, lambda summary: summary.subject).values())


def by_setting(summaries: Iterable[RecordSummary]) -> dict[Setting, list[RecordSummary]]:
    """Those of each setting, in the order in which the settings first appear."""
    return grouped(summaries, lambda summary: summary.setting)


def leading(
    summaries: Iterable[RecordSummary], counts: Callable[[RecordSummary], bool]
) -> list[RecordSummary]:
    """Those of the setting in which `counts` holds for the most; of equals, the first."""
    groups = by_setting(summaries).values()
    return max(groups, key=lambda group: sum(map(counts, group)), default=[])


def _n_expert_used(record: "Record") -> int | None:
    reported = record.reported.n_expert_used
    return (record.config.get("n_expert_used") if reported is None else reported) or None


def _components(record: "Record") -> dict[str, int]:
    """Bytes on the cards, or on the host of a run without any, by component."""
    found: dict[str, int] = {}
    for component, field in _BUFFER_FIELDS.items():
        sizes = [
            size_mib
            for device, size_mib in record.buffer_mib(field).items()
            if is_card(device) == record.environment.has_cards
        ]
        if sizes:
            found[component] = round(sum(sizes) * MIB)
    return found


def _peak_series(record: "Record") -> "MemorySeries | None":
    """The probe's series that holds the measured peak: the cards' by NVML, else the child's own
    memory on the host; with several cards the one with the highest."""
    wanted = [
        series for series in record.memory if is_card(series.device) == record.environment.has_cards
    ]
    return max(
        wanted,
        key=lambda series: (_PREFERRED.get(series.quantity, 0), series.peak_bytes),
        default=None,
    )


def _peak_bytes(record: "Record", series: "MemorySeries | None") -> int | None:
    if series is None:
        return None
    if not record.environment.has_cards:
        return series.peak_bytes
    return sum(
        s.peak_bytes for s in record.memory if is_card(s.device) and s.quantity == series.quantity
    )


def _baseline_bytes(record: "Record", series: "MemorySeries | None") -> int | None:
    """Over the same devices as the peak; None where one of them is not known."""
    if series is None:
        return None
    same = [
        s
        for s in record.memory
        if s.quantity == series.quantity and is_card(s.device) == record.environment.has_cards
    ]
    sizes = [s.baseline_bytes for s in same if s.baseline_bytes is not None]
    return sum(sizes) if len(sizes) == len(same) else None


def _shown_timings(record: "Record") -> "list[Timing]":
    """In their order. A ladder times every prompt that fills a context, hundreds of them. Shown are
    those at its stops (where decoding is timed too), and of the prompts in between each that lies a
    quarter deeper than the last shown; fits use all."""
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


def _rates(record: "Record", timings: "Sequence[Timing]", kind: str) -> tuple[Rate, ...]:
    tests: dict[tuple[str, int], list[Timing]] = {}
    for timing in timings:
        if timing.test.startswith(kind) and timing.n_parallel == 1:
            tests.setdefault((timing.test, timing.n_depth), []).append(timing)
    return tuple(_rate(record, *tests[key]) for key in sorted(tests, key=lambda key: key[1]))


def _rate(record: "Record", *timings: "Timing") -> Rate:
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
