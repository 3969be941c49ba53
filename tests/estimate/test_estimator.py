"""The estimator's answers, and its inverse questions against trying everything."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.cards import numbered, read_cards
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import BEST_KV_TYPES, Estimator
from oomph.estimate.prediction import Prediction, is_card
from oomph.gpus import gpu
from oomph.units import MIB, mib

MakeModel = Callable[..., ModelSpec]

few = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
memories = st.integers(2 * MIB, 90 * MIB)
contexts = st.sampled_from([512, 2048, 6000, 16384])
knob_sets = st.fixed_dictionaries(
    {
        "flash_attn": st.sampled_from(["on", "off"]),
        "n_ubatch": st.sampled_from([64, 512]),
        "n_seq_max": st.sampled_from([1, 3]),
        "type_k": st.sampled_from(["f16", "q8_0"]),
        "n_gpu_layers": st.sampled_from([-1, 3]),
    },
)


@pytest.fixture(scope="module")
def dense(make_model: MakeModel) -> ModelSpec:
    return make_model(n_ctx_train=12288)


@pytest.fixture(scope="module")
def mixture(make_model: MakeModel) -> ModelSpec:
    return make_model("qwen3moe", n_expert=16, n_ff=128)


def runs(model: ModelSpec, n_bytes: int, configs: Iterable[RunConfig]) -> list[RunConfig]:
    """Those of `configs` that the forward model's own answer lets run on a card of `n_bytes`."""
    return [
        prediction.config
        for prediction in Estimator(model).predict_many(configs)
        if prediction.memory.total_vram_bytes <= n_bytes
        and not any("llama.cpp" in warning for warning in prediction.warnings)
    ]


# --- forward


def test_without_a_card_nothing_is_said_of_fit_and_speed(dense: ModelSpec) -> None:
    prediction = Estimator(dense).predict(RunConfig())
    assert prediction.fits is prediction.max_context is prediction.speed is None
    with pytest.raises(ConfigError, match="GPU"):
        Estimator(dense).fits(RunConfig())


def test_a_named_card_gives_fit_speed_and_overhead(dense: ModelSpec) -> None:
    prediction = Estimator(dense, gpu("RTX 4090")).predict(RunConfig())
    assert prediction.fits is True
    assert prediction.max_context is not None
    assert prediction.max_context > dense.n_ctx_train  # what fits does not end where training did
    assert prediction.speed is not None
    assert prediction.memory.devices["CUDA0"].overhead_bytes > 0


def test_given_memory_goes_before_the_cards_own(dense: ModelSpec) -> None:
    assert (
        Estimator(dense, gpu("RTX 4090"), gpu_memory_bytes=MIB).predict(RunConfig()).fits is False
    )


def test_every_card_has_to_hold_its_share(dense: ModelSpec) -> None:
    config = RunConfig(n_devices=2, tensor_split=(5, 1))
    devices = Estimator(dense).predict(config).memory.devices
    larger = max(devices[name].total_bytes for name in ("CUDA0", "CUDA1"))
    assert Estimator(dense, gpu_memory_bytes=larger).fits(config)
    assert not Estimator(dense, gpu_memory_bytes=larger - 1).fits(config)


def test_what_llama_cpp_refuses_does_not_fit(dense: ModelSpec) -> None:
    estimator = Estimator(dense, gpu_memory_bytes=1 << 40)
    assert estimator.fits(RunConfig(type_v="q8_0", flash_attn="on"))
    assert not estimator.fits(RunConfig(type_v="q8_0", flash_attn="off"))
    assert estimator.max_context(type_v="q8_0", flash_attn="off") == 0


# --- what has a speed


def on_card(model: ModelSpec, n_bytes: int, config: RunConfig, **more: bool) -> Prediction:
    return Estimator(model, gpu("RTX 4090"), gpu_memory_bytes=n_bytes, **more).predict(
        config, longest=False
    )


def test_what_surely_does_not_load_has_no_speed_and_says_by_how_much(dense: ModelSpec) -> None:
    config = RunConfig(n_ctx=12288)
    card = Estimator(dense, gpu("RTX 4090")).memory(config).devices["CUDA0"]
    allocated = card.total_bytes - card.overhead_bytes
    short, bare = on_card(dense, allocated - 1, config), on_card(dense, allocated, config)
    assert short.speed is None
    assert short.speed_reason is not None
    assert (
        f"CUDA0 would have to hold {mib(allocated)} and has {mib(allocated - 1)}"
        in short.speed_reason
    )
    assert bare.fits is False  # the CUDA context has no room
    assert bare.speed is not None
    assert bare.speed_reason is None
    assert any("not predicted to fit" in warning for warning in bare.warnings)
    roomy = on_card(dense, card.total_bytes, config)
    assert roomy.fits
    assert roomy.speed == bare.speed
    assert not roomy.warnings


def test_every_card_must_hold_its_part_to_have_a_speed(dense: ModelSpec) -> None:
    config = RunConfig(n_devices=2, tensor_split=(5.0, 1.0))
    devices = Estimator(dense, gpu("RTX 4090")).memory(config).devices
    larger = max(
        devices[name].total_bytes - devices[name].overhead_bytes for name in ("CUDA0", "CUDA1")
    )
    assert on_card(dense, larger, config).speed is not None
    assert on_card(dense, larger - 1, config).speed is None


def test_a_guessed_compute_buffer_denies_no_speed(make_model: MakeModel) -> None:
    model = make_model("unheard-of")
    card = Estimator(model, gpu("RTX 4090")).memory(RunConfig()).devices["CUDA0"]
    assert card.compute_bytes
    known = card.total_bytes - card.overhead_bytes - card.compute_bytes
    assert on_card(model, known, RunConfig()).speed is not None
    assert on_card(model, known - 1, RunConfig()).speed is None


def test_with_unified_memory_what_is_too_much_crosses_the_bus(dense: ModelSpec) -> None:
    config, plenty = RunConfig(n_ctx=12288), 1 << 40
    whole, small = (
        on_card(dense, n_bytes, config, unified_memory=True) for n_bytes in (plenty, MIB)
    )
    assert whole.speed == on_card(dense, plenty, config).speed
    assert whole.speed is not None
    assert small.speed is not None
    assert small.speed.decode_tokens_per_s < whole.speed.decode_tokens_per_s
    assert any("unified memory" in warning for warning in small.warnings)


def test_a_window_that_fits_is_not_said_to_spill_nor_a_full_cache_to_fit() -> None:
    model, config = (
        catalogue_model("gemma-3-27b", "Q4_K_M"),
        RunConfig(n_ctx=65_536, n_depth=65_536),
    )
    estimator = Estimator(model, gpu("RTX 4090"), unified_memory=True)
    full, windows = (estimator.speed(config.with_(swa_full=swa_full)) for swa_full in (True, False))
    assert full is not None
    assert windows is not None
    assert "spilled" in full.bound_by
    assert "spilled" not in windows.bound_by
    assert Estimator(model, gpu("RTX 4090")).speed(config) is None
    assert Estimator(model, gpu("RTX 4090")).speed(config.with_(swa_full=False)) == windows


def test_what_llama_cpp_refuses_has_no_speed(dense: ModelSpec) -> None:
    refused = on_card(dense, 1 << 40, RunConfig(type_v="q8_0", flash_attn="off"))
    assert refused.speed is None
    assert refused.speed_reason in refused.warnings


def test_the_reason_names_what_is_missing(dense: ModelSpec) -> None:
    assert "name a GPU" in (Estimator(dense).predict(RunConfig()).speed_reason or "")
    assert "oomph calibrate" in (
        Estimator(dense).predict(RunConfig(n_devices=0)).speed_reason or ""
    )


def test_a_depth_beyond_a_sequences_share_is_refused(dense: ModelSpec) -> None:
    estimator = Estimator(dense, gpu("RTX 4090"))
    for ask in (estimator.predict, estimator.speed):
        with pytest.raises(
            ConfigError, match=r"^n_depth is 2,000, but each of 4 sequences has 1,024 of"
        ):
            ask(RunConfig(n_ctx=4096, n_seq_max=4, n_depth=2000))


def test_of_a_file_with_mtp_the_speed_is_said_to_be_without() -> None:
    said = [
        any("speculative" in warning for warning in on_card(model, 1 << 40, RunConfig()).warnings)
        for model in (
            catalogue_model("glm-4.5-air", "Q4_K_M"),
            catalogue_model("qwen3-30b-a3b", "Q4_K_M"),
        )
    ]
    assert said == [True, False]


def test_many_predictions_are_those_of_one_by_one(dense: ModelSpec) -> None:
    configs = [RunConfig(n_ctx=n, n_ubatch=u) for n in (1024, 4096) for u in (128, 512)]
    assert list(Estimator(dense).predict_many(configs)) == [
        Estimator(dense).predict(config) for config in configs
    ]


# --- inverse


@few
@given(memories, knob_sets)
def test_max_context_is_the_longest_of_all_that_fit(
    dense: ModelSpec, n_bytes: int, knobs: dict[str, object]
) -> None:
    every = (RunConfig(n_ctx=n).with_(**knobs) for n in range(256, 12288 + 1, 256))
    best = max((config.n_ctx for config in runs(dense, n_bytes, every)), default=0)
    assert Estimator(dense, gpu_memory_bytes=n_bytes).max_context(**knobs, limit=12288) == best


def test_where_weights_alone_are_too_large_no_graph_is_replayed(dense: ModelSpec) -> None:
    estimator = Estimator(dense, gpu_memory_bytes=1 << 20)
    assert estimator.max_context() == 0
    assert not estimator._memory._compute._learned.shared.packings


def test_max_context_is_exact_where_a_longer_context_takes_less() -> None:
    """With n_ubatch 2048, Qwen3-30B-A3B's holes close at 25,600 cells: 139 MiB less than with 256
    cells fewer."""
    model = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
    every = [RunConfig(n_ctx=n, n_ubatch=2048) for n in range(23808, 27649, 256)]
    sizes = [
        prediction.memory.total_vram_bytes for prediction in Estimator(model).predict_many(every)
    ]
    assert sizes != sorted(sizes)
    for n_bytes in range(sizes[0], sizes[-1], 29 * MIB):
        best = max(
            config.n_ctx for config, size in zip(every, sizes, strict=True) if size <= n_bytes
        )
        assert (
            Estimator(model, gpu_memory_bytes=n_bytes).max_context(n_ubatch=2048, limit=27648)
            == best
        )


@few
@given(memories, contexts)
def test_max_experts_is_the_most_of_all_that_fit(
    mixture: ModelSpec, n_bytes: int, n_ctx: int
) -> None:
    fitting = runs(
        mixture, n_bytes, (RunConfig(n_ctx=n_ctx, n_expert_used=n) for n in range(1, 17))
    )
    best = max((config.n_expert_used or 0 for config in fitting), default=0)
    assert Estimator(mixture, gpu_memory_bytes=n_bytes).max_experts(n_ctx=n_ctx) == best


@few
@given(memories, contexts)
def test_max_ubatch_is_the_largest_of_all_that_fit(
    dense: ModelSpec, n_bytes: int, n_ctx: int
) -> None:
    every = (RunConfig(n_ctx=n_ctx, n_batch=512, n_ubatch=n) for n in range(32, 513, 32))
    best = max((config.n_ubatch for config in runs(dense, n_bytes, every)), default=0)
    assert Estimator(dense, gpu_memory_bytes=n_bytes).max_ubatch(n_ctx=n_ctx, n_batch=512) == best


@few
@given(memories, contexts)
def test_max_gpu_layers_leaves_the_fewest_layers_off(
    dense: ModelSpec, n_bytes: int, n_ctx: int
) -> None:
    every = (RunConfig(n_ctx=n_ctx, n_gpu_layers=n) for n in range(1, 8))
    best = max((config.n_gpu_layers for config in runs(dense, n_bytes, every)), default=0)
    assert Estimator(dense, gpu_memory_bytes=n_bytes).max_gpu_layers(n_ctx=n_ctx) == best


@few
@given(memories, contexts)
def test_min_cpu_moe_keeps_the_fewest_experts_off(
    mixture: ModelSpec, n_bytes: int, n_ctx: int
) -> None:
    fitting = runs(mixture, n_bytes, (RunConfig(n_ctx=n_ctx, n_cpu_moe=n) for n in range(7)))
    best = min((config.n_cpu_moe for config in fitting), default=None)
    assert Estimator(mixture, gpu_memory_bytes=n_bytes).min_cpu_moe(n_ctx=n_ctx) == best


@few
@given(memories, contexts)
def test_best_kv_type_is_the_truest_that_fits(dense: ModelSpec, n_bytes: int, n_ctx: int) -> None:
    fitting = runs(
        dense, n_bytes, (RunConfig(n_ctx=n_ctx, type_k=kind, type_v=kind) for kind in BEST_KV_TYPES)
    )
    best = fitting[0].type_k if fitting else None
    assert Estimator(dense, gpu_memory_bytes=n_bytes).best_kv_type(n_ctx=n_ctx) == best


def test_a_dense_model_has_no_experts_to_choose(dense: ModelSpec) -> None:
    with pytest.raises(ConfigError, match="no experts"):
        Estimator(dense, gpu_memory_bytes=MIB).max_experts()


def test_24_experts_are_the_most_of_qwen3_30b() -> None:
    """As llama.cpp 0.5.0 did on the phantom card: 24 run, 25 abort."""
    estimator = Estimator(catalogue_model("qwen3-30b-a3b", "Q4_K_M"), gpu_memory_bytes=1 << 40)
    assert estimator.max_experts() == 24


def test_a_context_beyond_training_is_said(dense: ModelSpec) -> None:
    estimator = Estimator(dense)
    assert any("YaRN" in warning for warning in estimator.predict(RunConfig(n_ctx=12289)).warnings)
    assert not estimator.predict(RunConfig(n_ctx=12288)).warnings
    assert not estimator.predict(
        RunConfig(n_ctx=20_000, rope_scaling="yarn", rope_scale=2)
    ).warnings
    assert not estimator.predict(RunConfig(n_ctx=20_000, n_seq_max=2)).warnings
    without_positions = Estimator(catalogue_model("granite-4.0-h-tiny", "Q4_K_M"))
    assert not without_positions.predict(RunConfig(n_ctx=150_000)).warnings


@pytest.mark.parametrize(
    "name", ["qwen3-30b-a3b", "gemma-3-4b", "qwen3-next-80b-a3b", "glm-4.5-air"]
)
def test_caches_alone_are_those_of_the_whole_estimate(name: str) -> None:
    """Windows, states, a draft of the file's own; on no card, one and two."""
    model = catalogue_model(name, "Q4_K_M")
    for n_devices in (0, 1, 2):
        estimator = Estimator(model, numbered((read_cards("RTX 4090")[0],) * n_devices))
        for knobs in (
            {"type_k": "q8_0"},
            {"swa_full": False, "n_seq_max": 4},
            {"n_gpu_layers": 9},
            {"offload_kqv": False},
            {"spec_type": "draft-mtp"} if name == "glm-4.5-air" else {"n_ctx": 4096},
        ):
            config = RunConfig(n_ctx=8192, n_devices=n_devices).with_(**knobs)
            devices = estimator.memory(config).devices
            on_cards = sum(part.kv_cache_bytes for d, part in devices.items() if is_card(d))
            assert estimator.kv_cache_bytes(config) == on_cards, (n_devices, knobs)
