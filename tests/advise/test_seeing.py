"""Ways to spend less of a card on a projector, and its part in --fit."""

import pytest

from oomph.advise.alternatives import offers, would_have_fitted
from oomph.advise.own_fit import own_fit
from oomph.advise.seeing import projector_on_host, smaller_images
from oomph.architectures.projector_catalogue import published_projector
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.projector.rider import Projector
from oomph.programs.fit_flags import FitFlags
from oomph.programs.said import Said


@pytest.fixture(scope="module")
def alone() -> Estimator:
    return Estimator("qwen3-vl-8b:Q4_K_M", "RTX 3060")


@pytest.fixture(scope="module")
def seeing(alone: Estimator) -> Estimator:
    return alone.changed(riders=[Projector(published_projector("qwen3-vl-8b"))])


def full(estimator: Estimator) -> RunConfig:
    """A context that fits without the projector's growth, and not with it."""
    longest = estimator.max_context(image_max_tokens=1024)
    return RunConfig(n_ctx=longest - 512)


def test_images_are_made_smaller_until_they_take_no_more_than_the_warm_up(
    seeing: Estimator, alone: Estimator
) -> None:
    config = RunConfig(n_ctx=8192)
    assert [each.image_max_tokens for each in smaller_images(seeing, config)] == [2048]
    assert smaller_images(alone, config) == []


def test_projector_goes_to_the_host_once(seeing: Estimator, alone: Estimator) -> None:
    config = RunConfig(n_ctx=8192)
    (on_host,) = projector_on_host(seeing, config)
    assert not on_host.mmproj_offload
    assert projector_on_host(seeing, on_host) == []
    assert projector_on_host(alone, config) == []


def test_offers_name_both_where_the_projector_is_too_much(seeing: Estimator) -> None:
    config = full(seeing)
    kinds = {offer.kind for offer in offers(seeing, seeing.predict(config), probability=0.5)}
    assert {"image_max_tokens", "mmproj_offload"} <= kinds


def test_remedy_of_a_projector_that_was_refused_is_the_projectors(seeing: Estimator) -> None:
    config = RunConfig(n_ctx=seeing.max_context() + 1024)
    step = would_have_fitted(seeing, config, "oom_compute", context="projector")
    assert step is not None
    assert "the projector on the host (--no-mmproj-offload)" in step
    assert "n_ubatch" not in step


def test_fit_leaves_room_for_the_projector_as_llama_server_counts_it(
    seeing: Estimator, alone: Estimator
) -> None:
    said = Said(fit=FitFlags())
    asked = [
        own_fit(each, said, said.config(each.model, each.gpu_memory_bytes))
        for each in (alone, seeing)
    ]
    without, beside = (each.config.n_ctx for each in asked if each)
    assert beside < without
    (projector,) = seeing.riders
    assert isinstance(projector, Projector)
    counted = projector.counted_by_fit(RunConfig())["CUDA0"]
    per_token = (seeing.memory(RunConfig(n_ctx=8192)).devices["CUDA0"].kv_cache_bytes) / 8192
    assert (without - beside) * per_token == pytest.approx(counted, rel=0.05)
