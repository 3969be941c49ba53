"""Which points need no try because another has shown that they cannot fit.

A point is dominated by one that ran out of memory when it asks for at least as much in every axis
that memory grows with and is the same in every other: same model, placement and limits. The compute
buffer alone is not monotone in n_ctx (ggml's allocator packs some larger graphs tighter), but KV
cache and compute buffer together grow.
"""

from typing import Final, Literal, get_args

from oomph.config import LOAD_KNOBS, RunConfig, knobs_by_memory
from oomph.gguf.ggml_types import quant
from oomph.measure.logs.outcome import RAN_OUT
from oomph.measure.point import Point

_CONTEXT_FREE: Final = "oom_weights"
Kind = Literal["weights", "load", "use"]
"""What a point ran out at: for the weights, at the load for another reason, or with a context."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Likeness = tuple[object, ...]
_SHARED: Final[dict[Kind, tuple[str, ...]]] = {
    "weights": tuple(knob for knob in LOAD_KNOBS if knob != "n_expert_used"),
    "load": LOAD_KNOBS,
    "use": knobs_by_memory("same"),
}
"""Knobs that must be the same."""


def kind_of(outcome: str, *, at_load: bool) -> Kind:
    """What a record with this outcome ran out at."""
    if not at_load:
        return "use"
    return "weights" if outcome == _CONTEXT_FREE else "load"


def likeness(point: Point, kind: Kind) -> Likeness:
    """What a point must share with one that ran out in this way for that to say anything of it."""
    return (kind, point.load_mode, *(getattr(point.config, knob) for knob in _SHARED[kind]))


def dominates(failed: Point, outcome: str, *, at_load: bool, point: Point) -> bool:
    """Whether `failed`, which ended with `outcome`, shows that `point` cannot run either.

    Only running out of memory does. At the load it does so for every context; the number of experts
    that are active changes no weight, so running out for the weights holds for any.
    """
    if outcome not in RAN_OUT:
        return False
    if point.limits != failed.limits or point.load_mode != failed.load_mode:
        return False
    if at_load:
        knobs = _SHARED[kind_of(outcome, at_load=True)]
        return all(getattr(point.config, knob) == getattr(failed.config, knob) for knob in knobs)
    return asks_at_least(point.config, failed.config) and _does_at_least(point, failed)


def asks_at_least(config: RunConfig, failed: RunConfig) -> bool:
    """Whether `config` takes at least the memory of `failed`: as much or more of what grows, all
    else the same."""
    return all(getattr(config, knob) == getattr(failed, knob) for knob in _SHARED["use"]) and all(
        _size(config, knob) >= _size(failed, knob) for knob in knobs_by_memory("grows")
    )


def _does_at_least(point: Point, failed: Point) -> bool:
    """Memory that grows in use grows with the work: only the same workload proves it."""
    return point.workload == failed.workload and point.config.n_parallel >= failed.config.n_parallel


def _size(config: RunConfig, knob: str) -> float:
    """What memory grows with: the number, the bits of a cache's type; outputs left out are of a
    whole batch."""
    value = getattr(config, knob)
    if isinstance(value, str):
        return quant(value).bits_per_weight
    return float(config.n_batch if value is None else value)
