"""What to measure next: what would narrow the answer most.

Stands apart from the fit because it looks ahead: it asks of points that were not measured how much
the covariance of the coefficients, and so the interval of the question at hand, would shrink.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.result import MOVED
from oomph.calibrate.speed_fit import SpeedFit

_WHAT_IDENTIFIES: Final = {
    "card.bandwidth_factor": "measure decode of a large dense model at depth 0",
    "card.overhead_factor": "measure decode of a small model, whose launches outweigh its bytes",
    "card.compute_factor": "measure prefill with n_ubatch 512 or more",
    "card.expert_factor": "measure prefill of a model with experts",
    "host.bandwidth_bytes_per_s": "measure decode at depth 0 with few and with many active experts",
    "host.flops_per_s": "measure prefill of 256 tokens or more",
    "host.expert_byte_factor": "measure decode with few and with many active experts",
    "host.node_s": "measure decode with few active experts, whose nodes outweigh their bytes",
    "host.token_s": "measure two models with different numbers of layers",
    "host.kv_bandwidth_share": "measure decode at two depths, one of them 4096 or more",
    "host.attention_flops_share": "measure prefill at two depths, one of them 4096 or more",
    "host.pcie_bytes_per_s": "measure prefill with layers or experts on the CPU",
    "host.transfer_s": "measure decode with layers or experts on the CPU",
}

LEAST_GAIN: Final = 0.1
"""The share by which an interval must shrink for a point to be worth naming."""


def advice(speed: SpeedFit, observations: Sequence[SpeedObservation]) -> tuple[str, ...]:
    """Sentences: one for each coefficient that the records hardly moved, and the most informative
    point."""
    sentences = [
        f"the records say little of {fitted.name} ({fitted.meaning}): "
        f"{_WHAT_IDENTIFIES[fitted.name]}"
        for fitted in speed.fitted
        if fitted.moved < MOVED and fitted.name in _WHAT_IDENTIFIES
    ]
    best = most_informative(speed, observations)
    return (*sentences, best) if best else tuple(sentences)


def most_informative(speed: SpeedFit, observations: Sequence[SpeedObservation]) -> str | None:
    """The point that would narrow the widest interval among candidates most; None where none would
    by a tenth.

    With covariance C and derivatives j of a log rate, measuring point p takes (jCp)^2 / (s^2 + pCp)
    from jCj.
    """
    candidates = list(_candidates(observations))
    parameters, covariance = speed.parameters, speed.solution.covariance
    _, slopes = parameters.evaluate(candidates, speed.solution.parameters)
    variances = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
    question = int(np.argmax(variances))
    if variances[question] <= 0:
        return None
    shared = slopes @ covariance @ slopes[question]
    noise = np.array([speed.posterior.noise_sd[candidate.test] for candidate in candidates])
    gains = shared**2 / (noise**2 + variances) / variances[question]
    best = int(np.argmax(gains))
    shrinks = 1 - float(np.sqrt(1 - gains[best]))
    if shrinks < LEAST_GAIN:
        return None
    asked = candidates[question].label
    return (
        f"measure {candidates[best].label}: the interval of {asked} would shrink by {shrinks:.0%}"
    )


def _candidates(observations: Sequence[SpeedObservation]) -> Iterator[SpeedObservation]:
    """Decode and prefill at the ends of what a user may ask: empty and deep, few tokens and
    many."""
    deepest = max((o.question.config.n_ctx for o in observations), default=4096)
    for test in ("decode", "prefill"):
        template = next((o for o in observations if o.test == test), observations[0])
        for n_depth in (0, deepest // 2, deepest):
            for n_prompt in (32, 512) if test == "prefill" else (1,):
                name = f"pp{n_prompt}" if test == "prefill" else "tg32"
                yield replace(
                    template,
                    test=test,
                    n_prompt=n_prompt,
                    n_depth=n_depth,
                    label=f"{name} at depth {n_depth}",
                )
