"""Two sets of records held against each other, pair by pair: what differs, and how surely.

A rate's interval is Welch's on the logarithms of the raw samples, a perplexity's that of the paired
differences token by token; memory has none, since a peak is one number, and must move by UNDECIDED
to count.
"""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from statistics import fmean, median, variance
from typing import Final

from oomph.analysis.environment_changes import environment_changes
from oomph.analysis.pairing import Alone, pair_records
from oomph.frozen import frozen
from oomph.records.schema import Quality, Record, Timing
from oomph.units import counted

LEVEL: Final = 0.95
UNDECIDED: Final = 0.01
"""A quantity without an interval has changed if it moved by more than this fraction: a process's
memory is never the same to the page."""
LOWER_IS_BETTER: Final = ("bytes", "perplexity", "joules")
_COUNTED: Final = re.compile(r"(?:pp|tg)\d+")
_FAILED_WORSE: Final = math.inf
_LARGEST_LOGARITHM: Final = 700.0


@frozen
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
        return _worse(self.quantity, self.ratio)

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


@frozen
class Overall:
    """One kind of quantity over `n_pairs` pairs: the geometric mean of after / before, its 95 %
    interval where there are two pairs, and the difference that got worst."""

    kind: str
    n_pairs: int
    ratio: float
    low: float | None
    high: float | None
    worst: Difference

    @property
    def worse(self) -> float:
        """By which fraction it got worse; negative where it got better."""
        return _worse(self.kind, self.ratio)


@frozen
class RunsCompared:
    """Two sets of records: what differs, the worst first, and by kind of quantity; how many pairs
    there are and how many of them failed alike; how many points have no partner and why; what
    changed around them as (what, before, after); and, where nothing paired, why."""

    differences: tuple[Difference, ...]
    overall: tuple[Overall, ...]
    n_pairs: int
    n_failed_alike: int
    only_before: int
    only_after: int
    alone: tuple[Alone, ...]
    changes: tuple[tuple[str, str, str], ...]
    why_nothing_paired: str | None

    @property
    def why_nothing_compared(self) -> str | None:
        """Why there is no figure or outcome to judge; None where there is one."""
        if self.why_nothing_paired or self.differences:
            return self.why_nothing_paired
        return f"{counted(self.n_pairs, 'pair')} of points, and no figure that both sides have"

    def n_regressions(self, threshold: float) -> int:
        """How many got worse by more than `threshold` (a fraction), and not by chance."""
        return sum(difference.is_regression(threshold) for difference in self.differences)


def _worse(quantity: str, ratio: float) -> float:
    return ratio - 1 if quantity.endswith(LOWER_IS_BETTER) else 1 - ratio


def compare_runs(before: Sequence[Record], after: Sequence[Record]) -> RunsCompared:
    """The records of two results folders, before and after a change."""
    paired = pair_records(before, after)
    by_pair = [tuple(_differences(*pair)) for pair in paired.pairs]
    found = sorted(itertools.chain.from_iterable(by_pair), key=lambda each: -each.worse)
    return RunsCompared(
        differences=tuple(found),
        overall=tuple(_overall(by_pair)),
        n_pairs=len(paired.pairs),
        n_failed_alike=sum(
            old.outcome.label == new.outcome.label != "ok" for old, new in paired.pairs
        ),
        only_before=paired.only_before,
        only_after=paired.only_after,
        alone=paired.alone,
        changes=tuple(environment_changes(before, after)),
        why_nothing_paired=paired.why_nothing,
    )


def paired_differences(before: Sequence[Record], after: Sequence[Record]) -> list[Difference]:
    """Every quantity that both of a pair measured, and every outcome that changed; the worst
    first."""
    return list(compare_runs(before, after).differences)


def _overall(by_pair: Sequence[Sequence[Difference]]) -> Iterator[Overall]:
    """Each kind of quantity over the pairs, the worst first: a pair counts once, by the mean of the
    logarithms of its own ratios, since the stops of one ladder are not independent."""
    logs: dict[str, list[float]] = {}
    own: dict[str, list[Difference]] = {}
    for pair in by_pair:
        of_pair: dict[str, list[Difference]] = {}
        for each in pair:
            if each.ratio:
                of_pair.setdefault(quantity_kind(each.quantity), []).append(each)
        for kind, those in of_pair.items():
            logs.setdefault(kind, []).append(fmean(math.log(each.ratio or 1) for each in those))
            own.setdefault(kind, []).extend(those)
    found = []
    for kind, values in logs.items():
        low, high = _mean_interval(values)
        ratio = math.exp(fmean(values))
        worst = max(own[kind], key=lambda each: each.worse)
        found.append(
            Overall(kind=kind, n_pairs=len(values), ratio=ratio, low=low, high=high, worst=worst)
        )
    yield from sorted(found, key=lambda each: -each.worse)


def quantity_kind(quantity: str) -> str:
    """A quantity without how many tokens and at which depth: `pp512 @ d4096 tokens_per_s` is
    `pp tokens_per_s`."""
    return (
        re.sub(r"(?<=[a-z]{2})\d+| @ d\d+", "", quantity) if _COUNTED.match(quantity) else quantity
    )


def _mean_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of the geometric mean of ratios, from their logarithms (Student's t)."""
    if len(values) < 2:
        return None, None
    from scipy.stats import t

    middle = fmean(values)
    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * math.sqrt(
        variance(values) / len(values)
    )
    return _exp(middle - half), _exp(middle + half)


def _exp(logarithm: float) -> float:
    """The ratio of a logarithm, no larger than a number can be: Student's t of two pairs that
    contradict each other spans more."""
    return math.exp(min(logarithm, _LARGEST_LOGARITHM))


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
        return _exp(middle), _exp(middle)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(old) - 1) + parts[1] ** 2 / (len(new) - 1))
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    return _exp(middle - half), _exp(middle + half)


def _peaks(before: Record, after: Record) -> Iterator[Difference]:
    earlier = {(series.quantity, series.device): series.peak_bytes for series in before.memory}
    for series in after.memory:
        old = earlier.get((series.quantity, series.device))
        if old:
            quantity = f"{series.device} {series.quantity}_peak_bytes"
            yield Difference(
                label=after.label, quantity=quantity, before=old, after=series.peak_bytes
            )


def _are_alike(old: Quality, new: Quality) -> bool:
    """Whether both judged as many tokens in as many items."""
    items = len(old.nll_nats), len(new.nll_nats)
    return items[0] == items[1] > 0 and old.n_tokens == new.n_tokens


def _qualities(before: Record, after: Record) -> Iterator[Difference]:
    old, new = before.quality, after.quality
    if old is None or new is None or old.text != new.text or not _are_alike(old, new):
        return
    per_token = old.n_tokens / len(old.nll_nats)
    changes = [(b - a) / per_token for a, b in zip(old.nll_nats, new.nll_nats, strict=True)]
    low = high = None
    if len(changes) > 1:
        half = 1.96 * math.sqrt(variance(changes) / len(changes))
        low, high = _exp(fmean(changes) - half), _exp(fmean(changes) + half)
    yield Difference(
        label=after.label,
        quantity="perplexity",
        before=_exp(sum(old.nll_nats) / old.n_tokens),
        after=_exp(sum(new.nll_nats) / new.n_tokens),
        low=low,
        high=high,
    )
