"""llama.cpp's memory breakdown: what each device holds, as it foretells and as it ends.

Printed when it fits its parameters to the cards, before anything is allocated, it is llama.cpp's
own dry run; printed at the end it tells the use that the driver saw.
"""

import re
from collections.abc import Sequence
from typing import Final

from oomph.frozen import frozen

_FIGURES: Final = ("total", "free", "own", "model", "context", "compute", "rest")
_BREAKDOWN: Final = re.compile(
    r"[|:] {1,40}- (?P<device>\S{1,64})[^|:]{0,200}[|:] {0,40}(?P<total>[0-9]{1,15}) = {1,40}"
    r"(?P<free>[0-9]{1,15}) \+ \( {0,40}(?P<own>[0-9]{1,15}) = {1,40}(?P<model>[0-9]{1,15}) \+"
    r" {1,40}(?P<context>[0-9]{1,15}) \+ {1,40}(?P<compute>[0-9]{1,15})\) \+ {1,40}"
    r"(?P<rest>-?[0-9]{1,15})(?: \||$)"
)


@frozen
class Breakdown:
    """One device's line of llama.cpp's memory breakdown, in whole MiB; `rest` is what it calls
    unaccounted."""

    device: str
    total: int
    free: int
    own: int
    model: int
    context: int
    compute: int
    rest: int

    @property
    def is_dry(self) -> bool:
        """Whether it was printed before the allocation: then all of its own is missing from what is
        used."""
        return self.own > 0 and self.rest <= -self.own // 2


def read_breakdowns(lines: Sequence[str]) -> list[Breakdown]:
    """Every device's line of every breakdown, in the order printed."""
    found = (_BREAKDOWN.search(line) for line in lines if "breakdown" in line)
    return [
        Breakdown(device=match["device"], **{name: int(match[name]) for name in _FIGURES})
        for match in found
        if match
    ]
