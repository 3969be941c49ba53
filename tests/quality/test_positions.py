"""Costs and gains by position: token by token, and only where the tokens are the same."""

import pytest
from tests.quality.conftest import make_tasks

from oomph.quality.positions import costs_by_position, gains_of_context
from oomph.records.schema import Quality, Record


def _scored(losses: list[float], n_pass: int, *, n_ctx: int, **quality: object) -> Record:
    said = {"text": "t", "n_tokens": len(losses), "nll_nats": losses, "n_pass": n_pass, **quality}
    workload = {"text": {"file": None, "n_tokens": 257}}
    return make_tasks([], n_ctx=n_ctx, quality=said, workload=workload)


def _quality(shift: float, **changes: object) -> Quality:
    """A loss that grows with the position by `shift` a hundred tokens."""
    losses = [3 + shift * place / 100 for place in range(1, 257)]
    said = {"text": "t", "n_tokens": 256, "nll_nats": losses, "n_pass": 257, "tokens_sha256": "a"}
    return Quality.model_validate(said | changes)


def test_a_setting_costs_more_the_more_stands_before() -> None:
    own = _quality(0.5, kl_nats=[place / 1000 for place in range(1, 257)])
    bins = costs_by_position(own, _quality(0.0))
    assert [(each.first, each.last) for each in bins] == [(1, 32), (33, 64), (65, 128), (129, 256)]
    assert bins[0].loss_nats.value == pytest.approx(0.5 * 16.5 / 100)
    assert bins[3].loss_nats.value == pytest.approx(0.5 * 192.5 / 100)
    assert [b.divergence_nats and round(b.divergence_nats.value, 4) for b in bins] == [
        0.0165,
        0.0485,
        0.0965,
        0.1925,
    ]
    assert costs_by_position(own, _quality(0.0, tokens_sha256="b")) == ()
    assert costs_by_position(_quality(0.5), _quality(0.0))[0].divergence_nats is None


def test_a_longer_pass_gains_on_the_same_tokens() -> None:
    """Passes of 65 tokens, and one of 260: a token's loss falls by 0.001 for each token before it,
    so that the second pass's tokens gain 0.065, the third's 0.13."""
    short = _scored([5 - 0.001 * (i % 64 + 1) for i in range(256)], 65, n_ctx=65)
    long = _scored([5 - 0.001 * (i + 1) for i in range(259)], 260, n_ctx=260)
    bins = gains_of_context(long, short)
    assert [each.first for each in bins] == [65, 129]
    assert bins[0].loss_nats.value == pytest.approx(-0.065)
    assert [each.loss_nats.n for each in bins] == [63, 126]
    assert -0.195 < bins[1].loss_nats.value < -0.13
    assert gains_of_context(short, long) == ()


def test_other_settings_and_texts_gain_nothing() -> None:
    short = _scored([5.0] * 256, 65, n_ctx=65)
    long = _scored([4.0] * 259, 260, n_ctx=260)
    assert gains_of_context(long, short)
    other = long.model_copy(update={"config": long.config | {"type_k": "q8_0"}})
    assert gains_of_context(other, short) == ()
    assert gains_of_context(long.model_copy(update={"sweep": "s"}), short) == ()
    text = {"text": {"file": "mine.txt", "n_tokens": 257}}
    assert gains_of_context(long.model_copy(update={"workload": text}), short) == ()
