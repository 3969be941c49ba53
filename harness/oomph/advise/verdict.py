"""What a probability of fitting is called: yes, probably, doubtful or no."""

from collections.abc import Mapping
from typing import Final, Literal

from oomph.estimate.host import HostFit, HostState
from oomph.units import GIB

SURE: Final = 0.9
"""The probability of fitting from which a configuration is offered."""
EVEN: Final = 0.5
POSSIBLE: Final = 0.1

Verdict = Literal["yes", "probably", "doubtful", "no", "refused"]
"""Fits with 90 % or more, even odds or more, 10 % or more, less; or llama.cpp refuses it whatever
the card."""


def verdict_of(probability: float) -> Verdict:
    """The word for a probability of fitting."""
    if probability >= SURE:
        return "yes"
    return "probably" if probability >= EVEN else "doubtful" if probability >= POSSIBLE else "no"


USUAL_HOST_BYTES: Final = 16 * GIB
"""What a host is taken to have free beside a card, one of 32 GiB; whether it has more, nobody
said."""
_OF_HOST: Final[Mapping[HostState, Verdict]] = {
    "holds": "yes",
    "may_fill": "probably",
    "reads_disk": "doubtful",
    "short": "no",
}
_WORST_FIRST: Final[tuple[Verdict, ...]] = ("refused", "no", "doubtful", "probably", "yes")


def host_verdict(host: HostFit) -> Verdict:
    """The host's half of a verdict. Where nobody said what RAM there is, it is a yes for what a
    usual host has free, and "probably" for more."""
    if host.state is not None:
        return _OF_HOST[host.state]
    most = host.memory.most_bytes
    return "yes" if most is not None and most <= USUAL_HOST_BYTES else "probably"


def worse(one: Verdict, other: Verdict) -> Verdict:
    """The one of two verdicts that promises less."""
    return min(one, other, key=_WORST_FIRST.index)
