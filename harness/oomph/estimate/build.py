"""Builds of llama.cpp by number: what their graphs do unlike 0.5.0, and their dates.

The estimator is exact for llama.cpp 0.5.0. Logs and programs of other months are of other builds,
and some changes move a compute buffer by hundreds of MiB, others speed by half. Stands apart
because it is a fact about a program, and no knob of a run.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a build does; the defaults are llama.cpp 0.5.0's.

    `embeds_inputs`: the graph has an input for embeddings beside the tokens. `rotates_cache`: a
    quantized cache holds rotated K and V (pull request 21038). `keeps_all_rows`: architectures
    whose last norm feeds a prediction head keep it for every token. `narrow_mask`: flash
    attention's mask is F16 from the start, not cast from F32 (23764). `reserves_copies`: flash
    attention's F16 copies of a quantized cache are in the compute buffer, not in the pool that
    grows in use (23907). `fuses_experts`: the choice and the sum of experts are fused and keep
    tensors alive (25952). `refuses_rows`: ggml-cuda has no split buffers any more, which
    --split-mode row needs (24216).
    """

    embeds_inputs: bool = True
    rotates_cache: bool = True
    keeps_all_rows: bool = True
    narrow_mask: bool = True
    reserves_copies: bool = True
    fuses_experts: bool = True
    refuses_rows: bool = True


LATEST: Final = Build()

_SINCE: Final = {
    "embeds_inputs": 7830,
    "rotates_cache": 8610,
    "keeps_all_rows": 9000,
    "narrow_mask": 9360,
    "reserves_copies": 9480,
    "refuses_rows": 9560,
    "fuses_experts": 10760,
}
"""First builds, by the days on which the pull requests were merged, right to some dozens. Where
none is named, and for the choice of experts, logs say only that it came between b7772 and b7896, or
after b8893."""


def build_of(number: int | None) -> Build:
    """What build `number` does (`b8829` is 8829); None is llama.cpp 0.5.0."""
    return (
        LATEST
        if number is None
        else Build(**{change: number >= first for change, first in _SINCE.items()})
    )


_DATES: Final = (
    (2000, 2024.03), (2824, 2024.353), (3300, 2024.50), (4000, 2024.84), (4500, 2025.04), (5000,
    2025.25),
    (5500, 2025.40), (6000, 2025.565), (6500, 2025.71), (7000, 2025.855), (7500, 2025.97), (8000,
    2026.12),
    (10066, 2026.545), (10809, 2026.695), (11330, 2026.748), (11434, 2026.762), (11739, 2026.797),
)  # fmt: skip
"""llama.cpp's build numbers and when they were, as years; their days are those of its releases."""


def build_year(number: int) -> float:
    """When build `number` was made, as a year, to a few weeks; the ends of the table for builds
    beyond it."""
    for (low, start), (high, end) in pairwise(_DATES):
        if number <= high:
            return start + (end - start) * max(number - low, 0) / (high - low)
    return _DATES[-1][1]
