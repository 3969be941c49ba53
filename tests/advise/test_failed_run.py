"""What would have fitted: every offer is held against the estimator that it came from."""

import re

import pytest

from oomph.advise.alternatives import would_have_fitted
from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.units import MIB


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator(catalogue_model("qwen3-30b-a3b", "Q4_K_M"), gpu_memory_bytes=24_080 * MIB)


def offered(text: str | None, knob: str) -> int:
    match = re.search(rf"{knob} ([\d,]+)", text or "")
    assert match is not None, text
    return int(match[1].replace(",", ""))


def test_a_shorter_context_that_fits_and_no_longer_one(estimator: Estimator) -> None:
    config = RunConfig(n_ctx=90_112, flash_attn="on")
    n_ctx = offered(would_have_fitted(estimator, config, "oom_kv"), "n_ctx")
    assert estimator.fits(config.with_(n_ctx=n_ctx))
    assert not estimator.fits(config.with_(n_ctx=n_ctx + 256))


def test_without_flash_attention_the_first_offer_is_flash_attention(estimator: Estimator) -> None:
    config = RunConfig(n_ctx=32_768, n_ubatch=2048, flash_attn="off")
    assert (would_have_fitted(estimator, config, "oom_compute") or "").startswith("flash_attn on")


def test_weights_are_put_off_the_card(estimator: Estimator) -> None:
    small = Estimator(estimator.model, gpu_memory_bytes=12_000 * MIB)
    layers = offered(would_have_fitted(small, RunConfig(), "oom_weights"), "n_cpu_moe")
    assert small.fits(RunConfig(n_cpu_moe=layers))
    assert not small.fits(RunConfig(n_cpu_moe=layers - 1))


def test_where_nothing_helps_it_says_so(estimator: Estimator) -> None:
    tiny = Estimator(estimator.model, gpu_memory_bytes=100 * MIB)
    assert "another card" in (would_have_fitted(tiny, RunConfig(), "oom_weights") or "")


@pytest.mark.parametrize("outcome", ["ok", "host_oom", "crash", "device_lost"])
def test_other_endings_have_no_smaller_knob(estimator: Estimator, outcome: str) -> None:
    assert would_have_fitted(estimator, RunConfig(), outcome) is None


def test_what_fits_by_the_estimate_points_at_what_else_took_the_memory(
    estimator: Estimator,
) -> None:
    clause = would_have_fitted(estimator, RunConfig(n_ctx=4096, flash_attn="on"), "oom_kv")
    assert clause == "by the estimate it fits: see what else held the card's memory"


def test_a_mixture_that_is_too_large_without_its_experts_loses_whole_layers(
    estimator: Estimator,
) -> None:
    small = Estimator(estimator.model, gpu_memory_bytes=1_200 * MIB)
    layers = offered(would_have_fitted(small, RunConfig(), "oom_weights"), "n_gpu_layers")
    assert small.fits(RunConfig(n_gpu_layers=layers))
    assert not small.fits(RunConfig(n_gpu_layers=layers + 1))
