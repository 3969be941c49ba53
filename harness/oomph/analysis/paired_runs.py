"""Two sets of records held against each other, point by point.

Stands apart from `compare`, which holds predictions against records. Points pair by their knobs,
their workload and their limits. A rate's interval is Welch's on the logarithms of the raw samples,
a perplexity's that of the paired differences token by token; memory has none, since a peak is one
number, and must move by UNDECIDED to count. Any knob that each side has one value of, and not the
same one, is the change itself: points pair across it.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, variance
from typing import Any, Final

from oomph.records.schema import Environment, Record, Timing
from oomph.units import NOT_MEASURED

LEVEL: Final = 0.95
UNDECIDED: Final = 0.01
"""A quantity without an interval has changed if it moved by more than this fraction: a process's
memory is never the same to the page."""
LOWER_IS_BETTER: Final = ("bytes", "perplexity", "joules")
MOST_REASONS: Final = 2
_FAILED_WORSE: Final = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One quantity of one pair: `ratio` is after / before, `low` and `high` its 95 % interval where
    there is one.

    For an outcome that changed, `before` and `after` are None and `words` has both labels.
    """

    label: str
    quantity: str
    before: float | None = None
    after: float | None = None
    low: float | None = None
    high: float | None = None
    words: str = ""

    @property
    def ratio(self) -> float | None:
        """after / before."""
        return None if self.before is None or self.after is None else self.after / self.before

    @property
    def worse(self) -> float:
        """By which fraction it got worse; negative where it got better, infinite where a point no
        longer runs."""
        if self.ratio is None:
            return _FAILED_WORSE if self.words.startswith("ok ") else -_FAILED_WORSE
        return self.ratio - 1 if self.quantity.endswith(LOWER_IS_BETTER) else 1 - self.ratio

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves out "no change"; without one, whether it moved by more than
        UNDECIDED."""
        if self.low is None or self.high is None:
            return abs(self.worse) > UNDECIDED
        return not self.low <= 1 <= self.high

    def is_regression(self, threshold: float) -> bool:
        """Whether it got worse by more than `threshold` (a fraction), and not by chance."""
        return self.worse > threshold and self.is_certain


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsCompared:
    """Two sets of records: what differs, the worst first, how many points have no partner before
    and after, what changed around them as (what, before, after), and, where nothing paired, why."""

    differences: tuple[Difference, ...]
    only_before: int
    only_after: int
    changes: tuple[tuple[str, str, str], ...]
    why_nothing_paired: str | None

    def n_regressions(self, threshold: float) -> int:
        """How many got worse by more than `threshold` (a fraction), and not by chance."""
        return sum(difference.is_regression(threshold) for difference in self.differences)


def compare_runs(before: Sequence[Record], after: Sequence[Record]) -> RunsCompared:
    """The records of two results folders, before and after a change."""
    only_before, only_after = unpaired(before, after)
    return RunsCompared(
        differences=tuple(paired_differences(before, after)),
        only_before=only_before,
        only_after=only_after,
        changes=tuple(environment_changes(before, after)),
        why_nothing_paired=_why_nothing_paired(before, after),
    )


def paired_differences(before: Sequence[Record], after: Sequence[Record]) -> list[Difference]:
    """Every quantity that both of a pair measured, and every outcome that changed; the worst
    first."""
    key = _pairing(before, after)
    earlier = {key(record): record for record in before}
    found = [
        difference
        for record in after
        if (partner := earlier.get(key(record))) is not None
        for difference in _differences(partner, record)
    ]
    return sorted(found, key=lambda difference: -difference.worse)


def unpaired(before: Sequence[Record], after: Sequence[Record]) -> tuple[int, int]:
    """How many points of each side have no partner on the other."""
    key = _pairing(before, after)
    left, right = ({key(record) for record in records} for records in (before, after))
    return len(left - right), len(right - left)


def _pairing(before: Sequence[Record], after: Sequence[Record]) -> Callable[[Record], str]:
    """What two records share that are a pair: knobs and work, as far as both sides know of them,
    limits, and the model where a side has several."""
    with_name = (
        max(len({record.model.name for record in records}) for records in (before, after)) > 1
    )
    left_out = {"n_devices", *changed_knobs(before, after)}
    known = _known(before, _config) & _known(after, _config) - left_out
    work = _known(before, _workload) & _known(after, _workload)

    def key(record: Record) -> str:
        knobs = {
            name: value
            for name, value in record.config.items()
            if value is not None and name in known
        }
        done = {name: value for name, value in record.workload.items() if name in work}
        limits = record.limits.get("memory_bytes")
        return json.dumps(
            [knobs, done, limits, record.model.name if with_name else ""], sort_keys=True
        )

    return key


def _config(record: Record) -> Mapping[str, Any]:
    return record.config


def _workload(record: Record) -> Mapping[str, Any]:
    return record.workload


def _known(records: Iterable[Record], part: Callable[[Record], Mapping[str, Any]]) -> set[str]:
    """The keys that any record of a side has."""
    return {name for record in records for name in part(record)}


def _why_nothing_paired(before: Sequence[Record], after: Sequence[Record]) -> str | None:
    """The knobs and work of which the two sides share no value; None where something paired."""
    key = _pairing(before, after)
    if {key(record) for record in before} & {key(record) for record in after}:
        return None
    across = {"n_devices", *changed_knobs(before, after)}
    apart = [
        f"{name} ({_values(old)} before, {_values(new)} after)"
        for part in (_config, _workload)
        for name in sorted(_known(before, part) & _known(after, part))
        if name not in across
        and not (old := _seen(before, part, name)) & (new := _seen(after, part, name))
    ]
    return (
        f"no point of one side has the {', or the '.join(apart[:MOST_REASONS])} of the other; "
        "compare folders of one sweep"
        if apart
        else "no two points have all their knobs, work and limits in common"
    )


def _seen(
    records: Iterable[Record], part: Callable[[Record], Mapping[str, Any]], name: str
) -> set[str]:
    return {json.dumps(part(record).get(name), sort_keys=True) for record in records}


def _values(seen: set[str]) -> str:
    shown = sorted(seen)[:3]
    return ", ".join(shown) + (", …" if len(seen) > len(shown) else "")


def changed_knobs(before: Iterable[Record], after: Iterable[Record]) -> dict[str, tuple[Any, Any]]:
    """Knobs that every record of a side has the same value of, and the other side another: (before,
    after)."""
    old, new = _common_knobs(before), _common_knobs(after)
    return {
        name: (old[name], new[name])
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    }


def _common_knobs(records: Iterable[Record]) -> dict[str, Any]:
    values: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.config.items():
            if value not in (seen := values.setdefault(name, [])):
                seen.append(value)
    return {name: seen[0] for name, seen in values.items() if len(seen) == 1}


def _differences(before: Record, after: Record) -> Iterator[Difference]:
    if before.outcome.label != after.outcome.label:
        words = f"{before.outcome.label} -> {after.outcome.label}"
        yield Difference(label=after.label, quantity="outcome", words=words)
    if before.outcome.label == after.outcome.label == "ok":
        yield from _rates(before, after)
        yield from _peaks(before, after)
        yield from _qualities(before, after)


def _rates(before: Record, after: Record) -> Iterator[Difference]:
    earlier, later = _samples(before), _samples(after)
    for (test, n_depth, n_parallel), new in later.items():
        old = earlier.get((test, n_depth, n_parallel))
        if old and new and not test.startswith("cold"):
            low, high = ratio_interval(old, new)
            depth = f" @ d{n_depth}" if n_depth else ""
            parallel = f" x{n_parallel}" if n_parallel > 1 else ""
            yield Difference(
                label=after.label,
                quantity=f"{test}{depth}{parallel} tokens_per_s",
                before=median(old),
                after=median(new),
                low=low,
                high=high,
            )
    yield from _energies(before, after)


def _energies(before: Record, after: Record) -> Iterator[Difference]:
    """Joules a token of tests that both sides have the energy of."""
    earlier = {
        (timing.test, timing.n_depth, timing.n_parallel): joules_per_token(timing)
        for timing in before.timings
    }
    for timing in after.timings:
        old, new = (
            earlier.get((timing.test, timing.n_depth, timing.n_parallel)),
            joules_per_token(timing),
        )
        if old and new:
            quantity = f"{timing.test}{f' @ d{timing.n_depth}' if timing.n_depth else ''} joules"
            yield Difference(label=after.label, quantity=quantity, before=old, after=new)


def joules_per_token(timing: Timing) -> float | None:
    """The cards' energy over the samples by the tokens in them; None where it was not measured."""
    n_tokens = timing.n_tokens * timing.n_parallel * len(timing.samples_ns)
    return timing.energy_j / n_tokens if timing.energy_j is not None and n_tokens else None


def _samples(record: Record) -> dict[tuple[str, int, int], list[float]]:
    """Tokens per second of every sample, by test, depth and parallel sequences."""
    found: dict[tuple[str, int, int], list[float]] = {}
    for timing in record.timings:
        rates = [timing.n_tokens * timing.n_parallel * 1e9 / ns for ns in timing.samples_ns]
        found.setdefault((timing.test, timing.n_depth, timing.n_parallel), []).extend(rates)
    return found


def ratio_interval(
    before: Sequence[float], after: Sequence[float]
) -> tuple[float | None, float | None]:
    """The 95 % interval of after / before (Welch, on logarithms); None with fewer than two samples
    on a side."""
    if len(before) < 2 or len(after) < 2:
        return None, None
    from scipy.stats import t

    old, new = [math.log(value) for value in before], [math.log(value) for value in after]
    parts = [variance(old) / len(old), variance(new) / len(new)]
    error = math.sqrt(sum(parts))
    middle = fmean(new) - fmean(old)
    if error == 0:
        return math.exp(middle), math.exp(middle)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(old) - 1) + parts[1] ** 2 / (len(new) - 1))
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    return math.exp(middle - half), math.exp(middle + half)


def _peaks(before: Record, after: Record) -> Iterator[Difference]:
    earlier = {(series.quantity, series.device): series.peak_bytes for series in before.memory}
    for series in after.memory:
        old = earlier.get((series.quantity, series.device))
        if old:
            quantity = f"{series.device} {series.quantity}_peak_bytes"
            yield Difference(
                label=after.label, quantity=quantity, before=old, after=series.peak_bytes
            )


def _qualities(before: Record, after: Record) -> Iterator[Difference]:
    old, new = before.quality, after.quality
    if old is None or new is None or old.text != new.text or len(old.nll_nats) != len(new.nll_nats):
        return
    per_token = old.n_tokens / len(old.nll_nats)
    changes = [(b - a) / per_token for a, b in zip(old.nll_nats, new.nll_nats, strict=True)]
    low = high = None
    if len(changes) > 1:
        half = 1.96 * math.sqrt(variance(changes) / len(changes))
        low, high = math.exp(fmean(changes) - half), math.exp(fmean(changes) + half)
    yield Difference(
        label=after.label,
        quantity="perplexity",
        before=math.exp(sum(old.nll_nats) / old.n_tokens),
        after=math.exp(sum(new.nll_nats) / new.n_tokens),
        low=low,
        high=high,
    )


def environment_changes(
    before: Sequence[Record], after: Sequence[Record]
) -> list[tuple[str, str, str]]:
    """What differs between the two sides' machines, software, models and knobs: (what, before,
    after), sorted."""
    knobs = [
        (f"knob {name}", str(old), str(new))
        for name, (old, new) in changed_knobs(before, after).items()
    ]
    old, new = _environment(before), _environment(after)
    return knobs + [
        (what, old.get(what, NOT_MEASURED), new.get(what, NOT_MEASURED))
        for what in sorted(old | new)
        if old.get(what) != new.get(what)
    ]


def _environment(records: Iterable[Record]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for record in records:
        for what, value in _facts(record.environment, record).items():
            found.setdefault(what, set()).add(value)
    return {what: ", ".join(sorted(values)) for what, values in found.items()}


def _facts(environment: Environment, record: Record) -> dict[str, str]:
    facts: dict[str, Any] = environment.model_dump(exclude={"packages", "gpus"})
    facts |= {f"package {name}": version for name, version in environment.packages.items()}
    facts |= {
        f"GPU {index}": gpu.get("name", "unnamed") for index, gpu in enumerate(environment.gpus)
    }
    facts |= {
        "model": record.model.name,
        "model sha256": record.model.sha256 or record.model.header_sha256,
    }
    return {what: str(value) for what, value in facts.items() if value is not None}
