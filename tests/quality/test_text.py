"""Paired costs against figures worked out by hand, and who is whose reference."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.quality.text import References, cost, is_paired, mean_of, recall_by_depth
from oomph.records.schema import Needle, Quality, Record

REFERENCE = Quality(
    text="t", n_tokens=4, n_pass=5, nll_nats=[3.0, 2.0, 4.0, 3.0], tokens_sha256="a"
)
WORSE = REFERENCE.model_copy(
    update={"nll_nats": [3.1, 2.1, 4.3, 3.1], "kl_nats": [0.1, 0.1, 0.3, 0.1], "n_same_top": 3}
)


def test_a_cost_is_of_the_differences_at_each_token() -> None:
    found = cost(WORSE, REFERENCE)
    assert found is not None
    assert found.loss_nats.value == pytest.approx(0.15)
    assert found.loss_nats.error == pytest.approx(0.1 / math.sqrt(4)), (
        "stdev of .1 .1 .3 .1 over the root of 4"
    )
    assert found.perplexity_ratio == pytest.approx(math.exp(0.15))
    low, high = found.ratio_interval or (0, 0)
    assert (low, high) == (
        pytest.approx(math.exp(0.15 - 0.098)),
        pytest.approx(math.exp(0.15 + 0.098)),
    )
    assert found.divergence_nats is not None
    assert found.divergence_nats.value == pytest.approx(0.15)
    assert found.same_top == 0.75


def test_what_was_not_compared_is_none() -> None:
    found = cost(WORSE.model_copy(update={"kl_nats": [], "n_same_top": None}), REFERENCE)
    assert found is not None
    assert (found.divergence_nats, found.same_top) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens_sha256": "b"},
        {"text": "u"},
        {"n_pass": 3},
        {"nll_nats": [3.0, 2.0, 4.0], "n_tokens": 3},
        {"n_tokens": 400},
    ],
)
def test_other_tokens_are_never_paired(change: dict[str, Any]) -> None:
    other = WORSE.model_copy(update=change)
    assert not is_paired(other, REFERENCE)
    assert cost(other, REFERENCE) is None


@given(
    st.lists(st.floats(0, 20), min_size=2, max_size=40),
    st.lists(st.floats(-1, 1), min_size=40, max_size=40),
    st.floats(-5, 5),
)
def test_what_both_settings_share_cancels(
    nats: list[float], steps: list[float], shift: float
) -> None:
    """Tokens may differ as they like: only the settings' differences make the error."""
    own = [value + step for value, step in zip(nats, steps, strict=False)]
    here, there = (
        Quality(text="t", n_tokens=len(nats), n_pass=len(nats) + 1, nll_nats=values)
        for values in ([v + shift for v in own], [v + shift for v in nats])
    )
    found, expected = cost(here, there), mean_of(steps[: len(nats)])
    assert found is not None
    assert found.loss_nats.value == pytest.approx(expected.value, abs=1e-9)
    assert found.loss_nats.error == pytest.approx(expected.error, abs=1e-9)


def _record(experts: int, *, machine: str = "m", reference: dict[str, Any] | None = None) -> Record:
    return Record.model_validate(
        {
            "record_id": f"{experts}",
            "point_id": f"{experts}",
            "sweep": "s",
            "label": "",
            "started_at": "",
            "wall_ns": 0,
            "model": {
                "name": "m",
                "path": "m",
                "arch": "llama",
                "file_bytes": 1,
                "header_sha256": "h",
            },
            "environment": {
                "machine": machine,
                "os": "",
                "python": "",
                "cpu": "",
                "cpu_count": 1,
                "memory_bytes": 1,
                "backend": "cpu",
            },
            "config": {"n_ctx": 512, "n_expert_used": experts, "type_k": "f16"},
            "outcome": {"label": "ok"},
            "workload": {"text": {"file": None, "reference": reference}},
            "quality": REFERENCE.model_dump(),
        }
    )


def test_the_reference_is_the_record_that_has_the_named_knobs_and_shares_the_rest() -> None:
    knobs = {"n_expert_used": 8}
    eight, four = _record(8, reference=knobs), _record(4, reference=knobs)
    assert References([four, _record(8, machine="other"), eight]).of(four) is eight
    assert References([eight, four]).of(eight) is eight
    assert References([four, _record(8, machine="other")]).of(four) is None
    assert References([eight]).of(_record(4)) is None, "a sweep that names none has none"


def test_recall_is_counted_by_depth() -> None:
    needles = [
        Needle(depth=depth, n_before=1, n_after=n_after, expected="1", answer="", found=found)
        for depth, n_after, found in [(1.0, 20, True), (0.0, 100, False), (0.0, 104, True)]
    ]
    assert [(at.depth, at.n_after, at.n_found, at.n_asked) for at in recall_by_depth(needles)] == [
        (0.0, 102, 1, 2),
        (1.0, 20, 1, 1),
    ]
