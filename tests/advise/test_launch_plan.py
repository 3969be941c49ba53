"""Profiles: what each gives up, in which order, and that what is asked for stays."""

from typing import Any

import pytest

from oomph.advise.launch_plan import PROFILES, Launch, choose, server_config
from oomph.advise.placement.proof import n_layers_without_experts
from oomph.advise.verdict import SURE
from oomph.architectures.catalogue import catalogue_model
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.units import GIB

MIXTURE = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
DENSE = catalogue_model("qwen3-14b", "Q8_0")


def launch(
    profile: str,
    card: str | None = "RTX 4090",
    *,
    model: Any = MIXTURE,
    gib: float | None = None,
    **knobs: Any,
) -> Launch:
    estimator = Estimator(
        model, gpu(card) if card else None, gpu_memory_bytes=round(gib * GIB) if gib else None
    )
    return choose(estimator, {"n_ctx": 90_000} | knobs, model_path="/m.gguf", profile=profile)


def test_with_room_every_profile_keeps_the_cache_whole_and_prefills_in_large_steps() -> None:
    for profile in PROFILES:
        config = launch(profile, "RTX PRO 6000 Blackwell").config
        assert (config.type_k, config.n_ubatch, config.n_cpu_moe) == ("f16", 2048, 0)


def test_without_room_profiles_give_up_different_things() -> None:
    longest, quality = launch("long-context"), launch("quality")
    assert (longest.config.type_k, longest.config.n_cpu_moe) == ("q8_0", 0)
    assert quality.config.type_k == "f16"
    assert quality.config.n_cpu_moe > 0
    for each in (longest, quality):
        assert each.prediction.fits
        assert (each.prediction.fit_probability or 0) >= SURE
    assert "a q8_0 cache and n_ubatch " in longest.reason
    assert longest.reason.endswith("fit, f16 does not")
    estimator = Estimator(quality.spec)
    assert (layers := n_layers_without_experts(estimator, quality.config)) > 0
    assert f"experts of {layers} layers" in quality.reason


def test_fast_takes_what_is_predicted_to_take_the_least_time() -> None:
    fast, quality = launch("fast"), launch("quality")
    assert fast.prediction.fits
    assert fast.config.n_cpu_moe <= quality.config.n_cpu_moe
    assert "predicted the quickest" in fast.reason


def test_a_dense_model_leaves_whole_layers_on_the_host() -> None:
    found = launch("long-context", model=DENSE, gib=12)
    assert found.prediction.fits
    assert 0 < found.config.n_gpu_layers <= DENSE.n_layer
    assert found.config.n_cpu_moe == 0


def test_layers_stay_on_the_card_unless_their_crawl_is_asked_for() -> None:
    for profile in ("quality", "fast"):
        found = launch(profile, model=DENSE, gib=12)
        assert found.prediction.fits is False
        assert found.config.n_gpu_layers == -1


@pytest.mark.parametrize(
    "knobs",
    [{"type_k": "f16", "type_v": "f16"}, {"n_ubatch": 64}, {"n_cpu_moe": 7}, {"n_gpu_layers": 20}],
)
def test_what_is_asked_for_stays(knobs: dict[str, Any]) -> None:
    config = launch("long-context", **knobs).config
    assert {name: getattr(config, name) for name in knobs} == knobs


def test_what_cannot_fit_says_so() -> None:
    found = launch("quality", gib=2, n_cpu_moe=0)
    assert found.prediction.fits is False
    assert found.prediction.fit_probability == 0
    assert found.reason.endswith("nothing that it may choose fits")


def test_without_a_card_nothing_is_chosen_or_promised() -> None:
    found = launch("long-context", None)
    assert (found.prediction.fits, found.config.type_k, found.config.n_ubatch) == (None, "f16", 512)
    assert found.card is None


def test_llama_servers_defaults_are_not_the_librarys() -> None:
    config = server_config(MIXTURE, {"n_ctx": 4096, "n_seq_max": 3})
    assert (config.n_outputs_max, config.swa_full, config.flash_attn) == (3, False, "on")
    found = launch("long-context", n_ctx=4096)
    assert found.library.memory.total_vram_bytes > found.prediction.memory.total_vram_bytes


def test_a_slots_share_decides_about_rope_and_its_override() -> None:
    assert server_config(MIXTURE, {"n_ctx": 90_000, "n_seq_max": 4}).rope_scaling is None
    assert (
        server_config(MIXTURE, {"n_ctx": 90_000, "n_seq_max": 4, "kv_unified": True}).rope_scaling
        == "yarn"
    )
    assert launch("long-context", n_ctx=90_000).context_length is None
    assert (
        launch(
            "long-context", model=catalogue_model("nemotron-h-8b", "Q4_K_M"), n_ctx=20_000
        ).context_length
        == 20_224
    )


def test_an_n_ctx_that_nobody_asked_for_is_the_profiles() -> None:
    def chosen(profile: str, gib: float | None = None) -> int:
        estimator = Estimator(
            MIXTURE,
            gpu("RTX PRO 6000 Blackwell"),
            gpu_memory_bytes=round(gib * GIB) if gib else None,
        )
        found = choose(estimator, {}, model_path="/m.gguf", profile=profile)
        assert found.prediction.fits
        return found.config.n_ctx

    assert (chosen("long-context"), chosen("quality"), chosen("fast")) == (131_072, 40_960, 40_960)
    assert 40_960 < chosen("long-context", 24) < 131_072
    assert chosen("quality", 20) < 40_960


def test_scaling_that_is_asked_for_stays() -> None:
    asked = {"n_ctx": 90_000, "rope_scaling": "linear", "rope_scale": 3.0}
    assert server_config(MIXTURE, asked).to_dict().items() >= asked.items()
    found = launch("long-context", **asked)
    assert found.scaling is not None
    assert (found.scaling.type, found.scaling.factor, found.scaling.reason) == (
        "linear",
        3.0,
        "as asked for",
    )
    assert found.context_length == 90_112  # llama-server lifts its cap for YaRN only
    assert launch("long-context", rope_scaling="none").scaling is None


def test_a_profile_that_there_is_not_is_named() -> None:
    with pytest.raises(
        ConfigError, match="no profile 'best'; take one of quality, long-context, fast"
    ):
        launch("best")


def test_an_encoder_is_launched_for_inputs_as_long_as_it_reaches() -> None:
    encoder = catalogue_model("bge-m3", "F16")
    found = launch("quality", "RTX 3090", model=encoder, n_ctx=8192)
    config = found.config
    assert (config.embeddings, config.pooling) == (True, "cls")
    assert config.n_batch == config.n_ubatch == config.n_outputs_max == 8192
    assert found.prediction.inputs is not None
    assert found.prediction.inputs.n_tokens == 8192
    tight = launch("quality", None, model=encoder, gib=1.5, n_ctx=8192, flash_attn="off").config
    assert tight.n_batch == tight.n_ubatch < 8192
    library = found.library.config
    assert (library.n_seq_max, library.kv_unified) == (256, True)


def test_a_rerankers_launch_says_that_it_scores() -> None:
    reranker = catalogue_model("bge-reranker-v2-m3", "Q8_0")
    assert launch("quality", model=reranker, n_ctx=8192).config.pooling == "rank"
    decoder = catalogue_model("qwen3-reranker-0.6b", "Q8_0")
    plain, scores = (
        server_config(decoder, {"n_ctx": 4096, **asked}) for asked in ({}, {"embeddings": True})
    )
    assert (plain.embeddings, plain.pooling) == (False, None)
    assert (scores.embeddings, scores.pooling) == (True, "rank")
