"""Repetitions of layers in an allocation, gone through without being composed.

Of a run of equal layers a graph has the first few (`oomph.estimate.repeats`). Where the steps of
the third repetition are those of the second with other tensors, each further one's are, too: the
second is then gone through again, with the tensors of the repetition before it in the place of
those of the first. Whatever does not fit, as a tensor that is read long after its layer, is none.
How often is no part of it: a model has as many such layers on a card as one says. Nor is what a
weight of the host takes that is copied to a card: it may be of another type in each.
"""

from collections import Counter
from typing import Final, Protocol

from oomph.estimate.graph.tensor import COPIED, Tensor
from oomph.frozen import frozen

NOWHERE: Final = -1
"""The number of a tensor whose data have a device already, of no owner and of no pool."""

Step = tuple[tuple[int, ...], tuple[int, ...]]
"""What happens at a node: the numbers of tensors that get their place, and of sources that have
been read."""

Counts = tuple[tuple[int, int], ...]
"""Numbers of tensors, and how often each."""

Repetitions = tuple[tuple[int, ...], ...]
"""Those of a run that are left out: for each the bytes of the loop's `copies`."""


@frozen
class Loop:
    """Steps `begin` to `end` are a repetition, which may be gone through again.

    Before each the tensors `before`, (number, that of the same one a repetition later), move on,
    and its `own` are new, of which `copies` are of weights; those of `first` have had their places
    from the start. `reads` and `views` are how often it reads, and makes a view of, what is shared
    by all repetitions.
    """

    begin: int
    end: int
    before: tuple[tuple[int, int], ...]
    own: tuple[int, ...]
    copies: tuple[int, ...]
    first: tuple[int, ...]
    reads: Counts
    views: Counts


class Numbered(Protocol):
    """A program as far as it is numbered (`oomph.estimate.allocator.AllocationProgram`)."""

    first: list[int]
    steps: list[Step]
    nodes: list[int]
    tensors: list[Tensor]
    owners: list[int]
    pools: list[int]
    candidates: list[tuple[tuple[int, int], ...]]
    n_children: list[int]
    n_views: list[int]


def find_loop(program: Numbered, ends: tuple[int, int, int]) -> Loop | None:
    """The loop of a run whose first three repetitions end before these steps; None where the third
    is not like the second, or leaves something behind."""
    begin, end, after = ends
    later = _later(program, begin, end) if after - end == end - begin else None
    if later is None:
        return None
    changing = [n for n in sorted(later) if later[n] != n]
    before = [n for n in changing if later.get(later[n], later[n]) != later[n]]
    own = [n for n in changing if later[n] not in later]
    if len(before) + len(own) < len(changing):
        return None
    first = set(program.first)
    made = first | set(program.nodes[begin:end])
    for takes, _ in program.steps[begin:end]:
        made |= set(takes)
    if not made.issuperset(own) or any(program.tensors[n].kind == COPIED for n in first & set(own)):
        return None
    reads = Counter(n for _, read in program.steps[begin:end] for n in read)
    views = Counter(
        program.owners[n] for n in program.nodes[begin:end] if n != NOWHERE and _is_view(program, n)
    )
    earlier = {later[n]: n for n in before}
    if not all(_is_done(program, n, reads, views, earlier) for n in own):
        return None
    shared = [n for n in sorted(later) if later[n] == n]
    return Loop(
        begin=begin,
        end=end,
        before=tuple((n, later[n]) for n in before),
        own=tuple(n for n in own if n not in first),
        copies=tuple(n for n in own if n not in first and program.tensors[n].kind == COPIED),
        first=tuple(n for n in own if n in first),
        reads=tuple((n, reads[n]) for n in shared if n in reads),
        views=tuple((n, views[n]) for n in shared if n in views),
    )


def _later(program: Numbered, begin: int, end: int) -> dict[int, int] | None:
    """For each tensor of the steps `begin` to `end` the same one of the next repetition, itself
    where all share it; None where the next is another."""
    later: dict[int, int] = {}
    for i in range(begin, end):
        left = _beside(program, i, i + end - begin)
        if left is None:
            return None
        while left:
            n, other = left.pop()
            known = later.get(n, NOWHERE)
            if known == other:  # or neither has a number
                continue
            if known != NOWHERE or NOWHERE in (n, other) or not _is_alike(program, n, other):
                return None
            later[n] = other
            left.append((program.owners[n], program.owners[other]))
    return later if len(set(later.values())) == len(later) else None


def _beside(program: Numbered, i: int, j: int) -> list[tuple[int, int]] | None:
    """The tensors of one step beside those of another: its node, what it takes and reads, and whose
    places it may take; None where they are of two kinds."""
    one, other = program.steps[i], program.steps[j]
    if (len(one[0]), len(one[1])) != (len(other[0]), len(other[1])):
        return None
    pairs = [(program.nodes[i], program.nodes[j])]
    for mine, others in zip(one, other, strict=True):
        pairs += zip(mine, others, strict=True)
    for n, next_n in zip(one[0], other[0], strict=True):
        own, theirs = program.candidates[n], program.candidates[next_n]
        if program.tensors[n].op != program.tensors[next_n].op or len(own) != len(theirs):
            return None
        pairs += [(a, b) for (a, _), (b, _) in zip(own, theirs, strict=True)]
    return pairs


def _is_alike(program: Numbered, n: int, other: int) -> bool:
    """Whether two tensors are the same but for their place."""
    if n == other:
        return True
    a, b = program.tensors[n], program.tensors[other]
    are_copies = a.kind == b.kind == COPIED
    return (
        (are_copies or (a.quant is b.quant and a.nb == b.nb))
        and a.ne == b.ne
        and a.is_output == b.is_output
        and program.pools[n] == program.pools[other]
    )


def _is_view(program: Numbered, n: int) -> bool:
    return program.owners[n] != NOWHERE and program.tensors[n].op != "NONE"


def _is_done(
    program: Numbered,
    n: int,
    reads: Counter[int],
    views: Counter[int],
    earlier: dict[int, int],
) -> bool:
    """Whether a repetition's tensor is read by it and by those right behind it alone, or stays for
    good."""
    if program.tensors[n].root.is_output:
        return True
    n_reads, n_views, at = 0, 0, n
    while at != NOWHERE:
        n_reads += reads[at]
        n_views += views[at]
        at = earlier.get(at, NOWHERE)
    return program.n_children[n] == n_reads and program.n_views[n] == n_views
