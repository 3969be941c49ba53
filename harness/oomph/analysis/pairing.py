"""Which points of two sets of records are a pair, and what the others lack for one.

Two records are a pair that share their knobs, their work and their memory limit, as far as both
sides know of them: a later version writes keys that an earlier one had not. A knob that each side
has one value of, and not the same one, is the change itself: points pair across it. How often a
test was repeated and under which heading it stood change nothing of what was measured.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from oomph.frozen import frozen
from oomph.records.schema import Record

Side = Literal["before", "after"]
NOT_THE_WORK: Final = ("group", "repetitions")
PAIRED_ACROSS: Final = "n_devices"
"""A knob that other knobs and the machine decide."""
MOST_REASONS: Final = 2
MOST_EXPLAINED: Final = 100
"""Of each side's points without a partner so many get their nearest one: looking for it takes all
of the other side."""


@frozen
class Alone:
    """A point without a partner; `nearest` is the label of the other side's point that shares most
    with it, `apart` what the two do not share, as (name, its own value, the other's)."""

    side: Side
    label: str
    nearest: str | None
    apart: tuple[tuple[str, str, str], ...]


@frozen
class Pairs:
    """The pairs as (before, after), how many of each side are left over, why the first of them
    are, and, where nothing paired, what the two sides have no value in common of."""

    pairs: tuple[tuple[Record, Record], ...]
    only_before: int
    only_after: int
    alone: tuple[Alone, ...]
    why_nothing: str | None


Aspects = Mapping[str, str]


def pair_records(before: Sequence[Record], after: Sequence[Record]) -> Pairs:
    """Pair the records of two folders, in the order of the later one; equal ones in their own."""
    aspects = _shared_aspects(before, after)
    old = [(record, aspects(record)) for record in before]
    new = [(record, aspects(record)) for record in after]
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for number, (_, each) in enumerate(old):
        waiting[_key(each)].append(number)
    pairs: list[tuple[Record, Record]] = []
    left: list[tuple[Record, Aspects]] = []
    taken: set[int] = set()
    for record, each in new:
        if same := waiting[_key(each)]:
            taken.add(number := same.popleft())
            pairs.append((old[number][0], record))
        else:
            left.append((record, each))
    missing = [item for number, item in enumerate(old) if number not in taken]
    return Pairs(
        pairs=tuple(pairs),
        only_before=len(missing),
        only_after=len(left),
        alone=(*_explain("before", missing, new), *_explain("after", left, old)),
        why_nothing=None if pairs else _why_nothing([a for _, a in old], [a for _, a in new]),
    )


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


def _shared_aspects(
    before: Sequence[Record], after: Sequence[Record]
) -> Callable[[Record], Aspects]:
    """What of a record decides its partner, by name, each as JSON."""
    across = {PAIRED_ACROSS, *changed_knobs(before, after)}
    knobs = _known(r.config for r in before) & _known(r.config for r in after) - across
    work = _known(r.workload for r in before) & _known(r.workload for r in after)
    work -= {*NOT_THE_WORK}
    n_models = max(len({record.model.name for record in side}) for side in (before, after))

    def aspects(record: Record) -> Aspects:
        found = _said(record.config, knobs) | _said(record.workload, work)
        if (limit := record.limits.get("memory_bytes")) is not None:
            found["limit memory_bytes"] = json.dumps(limit)
        return found | ({"model": record.model.name} if n_models > 1 else {})

    return aspects


def _known(parts: Iterable[Mapping[str, Any]]) -> set[str]:
    """The keys that any record of a side has."""
    return {name for part in parts for name in part}


def _said(part: Mapping[str, Any], names: set[str]) -> dict[str, str]:
    return {
        name: json.dumps(_without_none(value), sort_keys=True)
        for name, value in part.items()
        if name in names and value is not None
    }


def _without_none(value: Any) -> Any:
    """A later version's key that is unset is no difference, within a table either."""
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return value


def _key(aspects: Aspects) -> str:
    return json.dumps(aspects, sort_keys=True)


def _explain(
    side: Side, left: Sequence[tuple[Record, Aspects]], others: Sequence[tuple[Record, Aspects]]
) -> list[Alone]:
    """Each with the other side's point that differs from it in the fewest respects."""
    distinct = {_key(aspects): (record, aspects) for record, aspects in others}.values()
    found = []
    for record, own in left[:MOST_EXPLAINED]:
        nearest = min(distinct, key=lambda each: len(_apart(own, each[1])), default=None)
        found.append(
            Alone(
                side=side,
                label=record.label,
                nearest=nearest[0].label if nearest else None,
                apart=tuple(_apart(own, nearest[1])) if nearest else (),
            )
        )
    return found


def _apart(own: Aspects, other: Aspects) -> list[tuple[str, str, str]]:
    return [
        (name, own.get(name, "unset"), other.get(name, "unset"))
        for name in sorted(own.keys() | other.keys())
        if own.get(name) != other.get(name)
    ]


def _why_nothing(before: Sequence[Aspects], after: Sequence[Aspects]) -> str:
    """The knobs and work of which the two sides share no value."""
    apart = [
        f"{name} ({_values(old)} before, {_values(new)} after)"
        for name in sorted({name for each in (*before, *after) for name in each})
        if (old := {each[name] for each in before if name in each})
        and (new := {each[name] for each in after if name in each})
        and not old & new
    ]
    return (
        f"no point of one side has the {', or the '.join(apart[:MOST_REASONS])} of the other; "
        "compare folders of one sweep"
        if apart
        else "no two points have all their knobs, work and limits in common"
    )


def _values(seen: set[str]) -> str:
    shown = sorted(seen)[:3]
    return ", ".join(shown) + (", …" if len(seen) > len(shown) else "")
