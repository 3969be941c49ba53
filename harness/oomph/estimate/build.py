"""Builds of llama.cpp by number: what their graphs do unlike 0.5.0, and their dates.

The estimator's own build is llama.cpp 0.5.0. Logs and programs of other months are of other builds,
and some changes move a compute buffer by hundreds of MiB, others speed by half. Stands apart
because it is a fact about a program, and no knob of a run. How far a build is known is
`oomph.estimate.trust`'s.
"""

from itertools import pairwise
from typing import Final

from oomph.errors import ConfigError
from oomph.frozen import frozen


@frozen
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

    Of 0.6.0, and read in its source (b11434): `mixes_inputs`: the graph has a third way for a
    batch of tokens and embeddings (`build_inp_embd` of llama-graph.cpp). `scales_by_input`: Gemma
    scales the rows of tokens by an input, for those of an image are not scaled. `gathers_states`:
    one GET_ROWS over all recurrent states instead of two (`build_rs`).
    `fuses_shared_expert`: ggml-cuda moves a shared expert's products behind the routed experts'
    and keeps what they read (`ggml_cuda_match_shared_expert`). `looks_up_first`: the embeddings of
    both batches of tokens come before either is widened, and Gemma 4's own of each layer before
    them. `cuts_delta_net`: the rows that logits are wanted for are picked in the last layer of a
    delta net too. Both as the graph that b11549 prints has it.
    """

    embeds_inputs: bool = True
    rotates_cache: bool = True
    keeps_all_rows: bool = True
    narrow_mask: bool = True
    reserves_copies: bool = True
    fuses_experts: bool = True
    refuses_rows: bool = True
    mixes_inputs: bool = False
    scales_by_input: bool = False
    gathers_states: bool = False
    fuses_shared_expert: bool = False
    looks_up_first: bool = False
    cuts_delta_net: bool = False


LATEST: Final = Build()
"""That of llama.cpp 0.5.0, which is meant where no build is named."""

_SINCE: Final = {
    "embeds_inputs": 7830,
    "rotates_cache": 8610,
    "keeps_all_rows": 9000,
    "narrow_mask": 9360,
    "reserves_copies": 9480,
    "refuses_rows": 9560,
    "fuses_experts": 10760,
    "mixes_inputs": 11434,
    "scales_by_input": 11434,
    "gathers_states": 11434,
    "fuses_shared_expert": 11434,
    "looks_up_first": 11549,
    "cuts_delta_net": 11549,
}
"""First builds, by the days on which the pull requests were merged, right to some dozens. Where
none is named, and for the choice of experts, logs say only that it came between b7772 and b7896, or
after b8893. What came after b11330 is dated by b11434, whose source is the first that has it."""


LIKELY_MOST: Final = 40_000
"""Builds come at eight thousand a year: none of this number for three years."""


def build_of(number: int | None) -> Build:
    """What build `number` does (`b8829` is 8829); None is llama.cpp 0.5.0. ConfigError for a number
    that no build has had."""
    if number is None:
        return LATEST
    if not 0 <= number <= LIKELY_MOST:
        raise ConfigError(
            f"llama.cpp has no build {number}: the newest known here is {_DATES[-1][0]}"
        )
    return Build(**{change: number >= first for change, first in _SINCE.items()})


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
