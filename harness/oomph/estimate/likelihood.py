"""How likely a configuration fits, where the CUDA context is known by a width only.

Stands apart from the sums because it is about their errors. Weights, caches and the buffers of a
known architecture are exact and add no doubt. The CUDA context does, by as much as contexts of
held-out cards (or of the calibrated card's own records) were off; and so does the compute buffer of
an architecture whose graph is not known.
"""

from collections.abc import Mapping
from math import erf, expm1, hypot, sqrt
from typing import Final

from oomph.cards import Card
from oomph.estimate.coefficients import Coefficients
from oomph.estimate.overhead import context_bytes
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate
from oomph.gpus import GpuSpec

SDS_OF_HALF_WIDTH: Final = 1.6448536269514715
"""Standard deviations in half of a 90 % interval: NormalDist().inv_cdf(0.95)."""
UNKNOWN_GRAPH_SHARE: Final = 0.5
"""Half width of a compute buffer that follows the general transformer rule, as a share: a
judgement."""


def fit_probabilities(
    memory: MemoryEstimate, cards: Mapping[str, Card], coefficients: Coefficients
) -> dict[str, float]:
    """The probability that each card, by its device's name, holds its part: 0 to 1; one half where
    the estimate just fits.

    The cards share a driver, so their contexts err together: the least of these is that of all.
    Cards without a data sheet are left out.
    """
    return {
        name: _probability(
            memory.devices[name],
            context_half_width_bytes(card.spec, coefficients),
            card.memory_bytes,
            memory.exact_compute,
        )
        for name, card in cards.items()
        if card.spec is not None
    }


def context_half_width_bytes(gpu: GpuSpec, coefficients: Coefficients) -> float:
    """Half of the 90 % interval of what is not exact on a card: the card's own if calibrated, else
    other cards'."""
    own = coefficients.interval_widths.get("total_vram_bytes", {}).get("calibrated")
    if own is not None and "memory.own_context_factor" in coefficients.cards.get(gpu.name, {}):
        return own
    return context_bytes(gpu, coefficients) * expm1(
        coefficients.interval_widths["context_bytes"]["other cards"]
    )


def reserve_bytes(gpu: GpuSpec, coefficients: Coefficients, probability: float) -> int:
    """What to leave free of a card for a sum of exact buffers to fit with `probability`; negative
    below one half."""
    from statistics import NormalDist

    return round(
        NormalDist().inv_cdf(probability)
        * context_half_width_bytes(gpu, coefficients)
        / SDS_OF_HALF_WIDTH
    )


def _probability(
    card: DeviceMemory, context: float, memory_bytes: int, exact_compute: bool
) -> float:
    unknown = 0.0 if exact_compute else UNKNOWN_GRAPH_SHARE * card.compute_bytes
    sd_bytes = hypot(context, unknown) / SDS_OF_HALF_WIDTH
    if not sd_bytes:  # a card without a CUDA context, whose every byte is known
        return float(card.total_bytes <= memory_bytes)
    spare_sds = (memory_bytes - card.total_bytes) / sd_bytes
    return 0.5 * (1 + erf(spare_sds / sqrt(2)))
