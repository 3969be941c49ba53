"""A projector that rides along: what it takes where, what is said of images."""

from dataclasses import replace

import pytest

from oomph.architectures.projector_catalogue import published_projector
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.projector.rider import Projector
from oomph.units import MIB

CONFIG = RunConfig(n_ctx=8192)


def with_projector(model: str, **knobs: object) -> tuple[Estimator, RunConfig]:
    projector = Projector(published_projector(model))
    return Estimator(f"{model}:Q4_K_M", "RTX 5090", riders=[projector]), CONFIG.with_(**knobs)


def test_projector_is_a_context_on_the_first_card() -> None:
    estimator, config = with_projector("qwen3-vl-8b")
    memory = estimator.memory(config)
    card = memory.contexts["projector"]["CUDA0"]
    assert round(card.weights_bytes / MIB, 2) == 1105.32
    assert round(card.compute_bytes / MIB, 2) == 372.08
    grown = round((card.compute_bytes + card.overhead_bytes) / MIB, 2)
    assert grown == 720.25 + 172 + 32, "of 2048 x 2048, with its pool and cuBLAS's workspace"
    assert memory.exact_compute


def test_projector_stays_on_the_host_where_it_is_told_to() -> None:
    estimator, config = with_projector("qwen3-vl-8b", mmproj_offload=False)
    assert estimator.memory(config).contexts["projector"].keys() == {"CPU"}
    on_host = estimator.memory(CONFIG.with_(n_devices=0)).contexts["projector"]
    assert on_host.keys() == {"CPU"}


def test_fewer_image_tokens_leave_what_is_reserved_and_cut_the_growth() -> None:
    estimator, config = with_projector("qwen3.6-27b")
    (all_of_it, fewer) = (
        estimator.memory(config.with_(image_max_tokens=most)).contexts["projector"]["CUDA0"]
        for most in (None, 1024)
    )
    assert fewer.compute_bytes == all_of_it.compute_bytes
    assert fewer.overhead_bytes == (32 + 44) * MIB, "no growth but cuBLAS's and the pool's"
    assert all_of_it.overhead_bytes > 4 * fewer.overhead_bytes
    more = estimator.max_context(image_max_tokens=1024)
    assert more > estimator.max_context()


def test_what_an_image_takes_is_said() -> None:
    estimator, config = with_projector("qwen3-vl-8b")
    (said,) = (note for note in estimator.memory(config).warnings if "image" in note)
    assert "8 to 4,096 tokens of the context" in said
    assert "2048 x 2048 pixels" in said


@pytest.mark.parametrize(
    ("knobs", "aborts"),
    [({}, True), ({"n_ubatch": 2048}, False), ({"image_max_tokens": 400}, False)],
)
def test_images_that_llama_server_would_die_of_are_named(
    knobs: dict[str, int], aborts: bool
) -> None:
    estimator, config = with_projector("gemma-4-31b", **knobs)
    said = [note for note in estimator.memory(config).warnings if "llama-server aborts" in note]
    assert bool(said) is aborts


def test_encoder_that_is_not_known_is_bounded_and_said_to_be_a_bound() -> None:
    spec = published_projector("gemma-3-4b")
    strange = replace(spec, metadata={**spec.metadata, "clip.projector_type": "never-seen"})
    estimator = Estimator("gemma-3-4b:Q4_K_M", "RTX 5090", riders=[Projector(strange)])
    memory = estimator.memory(CONFIG)
    known = Projector(spec).memory(CONFIG).at_load().bytes["CUDA0"]
    assert memory.contexts["projector"]["CUDA0"].compute_bytes > known
    assert not memory.exact_compute
    assert any("'never-seen' is not known" in note for note in memory.warnings)


def test_ear_beside_the_eye_is_said_to_be_unknown() -> None:
    spec = published_projector("gemma-3-4b")
    heard = {**spec.metadata, "clip.has_audio_encoder": True}
    estimator = Estimator(
        "gemma-3-4b:Q4_K_M", "RTX 5090", riders=[Projector(replace(spec, metadata=heard))]
    )
    memory = estimator.memory(CONFIG)
    assert round(memory.contexts["projector"]["CUDA0"].compute_bytes / MIB, 2) == 121.25
    assert not memory.exact_compute
    assert any("the projector's ear" in note for note in memory.warnings)
