"""How far a figure can be trusted, in words and for programs."""

import pytest

from oomph.estimate.trust import Trust
from oomph.views.trust_words import trust_json, trust_sentence


@pytest.mark.parametrize(
    ("trust", "ends"),
    [
        (Trust(), "architecture replayed exactly, build checked: buffers ± 0 bytes"),
        (
            Trust(build="from source", compute_share=None),
            "build read in its source, not run: no bound was measured for the compute buffers",
        ),
        (Trust(build="unknown", compute_share=0.56), "build not seen: compute buffers ± 56 %"),
        (
            Trust(build="unknown", compute_share=0.02, is_learned=True),
            "build not seen: compute buffers ± 2 %, as `oomph verify` saw here",
        ),
        (
            Trust(architecture="composed", compute_share=0.1),
            "composed from the usual tensors, build checked: compute buffers ± 10 %",
        ),
        (
            Trust(architecture="composed", rider="draft", compute_share=0.1),
            "trust: the draft's architecture not in the table, its graph composed from the usual "
            "tensors, build checked: compute buffers ± 10 %",
        ),
    ],
)
def test_a_sentence_says_what_figures_rest_on(trust: Trust, ends: str) -> None:
    assert trust_sentence(trust).endswith(ends)
    assert trust_json(trust)["is_exact"] == (trust == Trust())
