"""What a worker may take: memory, and time before it is ended.

What the sweep file says of time holds. Otherwise a limit is a generous multiple of what is
expected; how long that is comes from above, since nothing here knows a model's speed. Where nothing
can be expected it is a fixed, long time.
"""

from collections.abc import Callable
from typing import Final, Literal, Self

from oomph.config import RunConfig
from oomph.frozen import frozen
from oomph.measure.fields import Bytes, Seconds, StrictTable
from oomph.measure.workload import Workload

LOAD_S: Final = 1800.0
POINT_S: Final = 3600.0
LEAST_S: Final = 600.0
"""What is expected to be quick may still wait for a busy disk or a clock that has yet to rise."""
GENEROSITY: Final = 20.0
"""Expected seconds times this: a prediction that is off by an order of magnitude must not end a
healthy worker."""


class Limits(StrictTable):
    """What a worker may take. `memory_bytes` is set with setrlimit before llama.cpp is loaded: on
    private writable memory (`data`, which leaves the mapped weights out) or on everything mapped
    (`address_space`). Timeouts that are left out follow from what is expected. `reference_bytes`
    bounds the log-probabilities kept of a reference: 2 bytes per token and word of the
    vocabulary."""

    memory_bytes: Bytes | None = None
    memory_kind: Literal["data", "address_space"] = "data"
    load_timeout_s: Seconds | None = None
    point_timeout_s: Seconds | None = None
    reference_bytes: Bytes = 4 * 1024**3


@frozen
class ExpectedSeconds:
    """What a load and a point are expected to take; None where nothing is known."""

    load_s: float | None = None
    point_s: float | None = None


Expect = Callable[[RunConfig, Workload], ExpectedSeconds]


@frozen
class Timeout:
    """A limit in seconds, and where it comes from, as the end of "its limit of 600 s, …"."""

    seconds: float
    origin: str

    def __str__(self) -> str:
        return f"{self.seconds:,.0f} s, {self.origin}"


@frozen
class Timeouts:
    """The limits of one point and of the load that it shares."""

    load: Timeout
    point: Timeout

    @classmethod
    def of(cls, limits: Limits, expected: ExpectedSeconds | None = None) -> Self:
        """Those that the sweep file sets, else a multiple of what is expected, else the fixed
        ones."""
        expected = expected or ExpectedSeconds()
        return cls(
            load=_timeout("load_timeout_s", limits.load_timeout_s, expected.load_s, LOAD_S),
            point=_timeout("point_timeout_s", limits.point_timeout_s, expected.point_s, POINT_S),
        )


def _timeout(key: str, given_s: float | None, expected_s: float | None, fixed_s: float) -> Timeout:
    if given_s is not None:
        return Timeout(seconds=given_s, origin=f"set by limits.{key}")
    if expected_s is None:
        return Timeout(
            seconds=fixed_s,
            origin=f"as nothing is known of how long it takes (limits.{key} sets another)",
        )
    return Timeout(
        seconds=max(LEAST_S, GENEROSITY * expected_s),
        origin=f"{GENEROSITY:g} times the {expected_s:.3g} s expected but {LEAST_S:g} s at least"
        f" (limits.{key} sets another)",
    )
