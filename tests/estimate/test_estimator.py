"""The estimator's answers, and its inverse questions against trying everything."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oomph.errors import ConfigError
from oomph.estimate.estimator import BEST_KV_TYPES, Estimator
from oomph.facts.catalogue import catalogue_model
from oomph.facts.config import RunConfig
from oomph.facts.gpus import gpu
from oomph.facts.modelspec import ModelSpec
from oomph.units import MIB

MakeModel = Callable[..., ModelSpec]

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
memories = st.integers(2 * MIB, 90 * MIB)
contexts = st.sampled_from([512, 2048, 6000, 16384])
knob_sets = st.fixed_dictionaries(
    {"flash_attn": st.sampled_from(["on", "off"]), "n_ubatch": st.sampled_from([64, 512]),
     "n_seq_max": st.sampled_from([1, 3]), "type_k": st.sampled_from(["f16", "q8_0"]),
     "n_gpu_layers": st.sampled_from([-1, 3])},
)  # fmt: skip


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
    assert Estimator(dense, gpu("RTX 4090"), gpu_memory_bytes=MIB).predict(RunConfig()).fits is False


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


def test_many_predictions_are_those_of_one_by_one(dense: ModelSpec) -> None:
    configs = [RunConfig(n_ctx=n, n_ubatch=u) for n in (1024, 4096) for u in (128, 512)]
    assert list(Estimator(dense).predict_many(configs)) == [Estimator(dense).predict(config) for config in configs]


# --- inverse


@few
@given(memories, knob_sets)
def test_max_context_is_the_longest_of_all_that_fit(dense: ModelSpec, n_bytes: int, knobs: dict[str, object]) -> None:
    every = (RunConfig(n_ctx=n).with_(**knobs) for n in range(256, 12288 + 1, 256))
    best = max((config.n_ctx for config in runs(dense, n_bytes, every)), default=0)
    assert Estimator(dense, gpu_memory_bytes=n_bytes).max_context(**knobs, limit=12288) == best


def test_max_context_is_exact_where_a_longer_context_takes_less() -> None:
    """With n_ubatch 2048, Qwen3-30B-A3B's holes close at 25,600 cells: 139 MiB less than with 256 cells fewer."""
    model = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
    every = [RunConfig(n_ctx=n, n_ubatch=2048) for n in range(23808, 27649, 256)]
    sizes = [prediction.memory.total_vram_bytes for prediction in Estimator(model).predict_many(every)]
    assert sizes != sorted(sizes)
    for n_bytes in range(sizes[0], sizes[-1], 29 * MIB):
        best = max(config.n_ctx for config, size in zip(every, sizes, strict=True) if size <= n_bytes)
        assert Estimator(model, gpu_memory_bytes=n_bytes).max_context(n_ubatch=2048, limit=27648) == best


@few
@given(memories, contexts)
def test_max_experts_is_the_most_of_all_that_fit(mixture: ModelSpec, n_bytes: int, n_ctx: int) -> None:
    fitting = runs(mixture, n_bytes, (RunConfig(n_ctx=n_ctx, n_expert_used=n) for n in range(1, 17)))
    best = max((config.n_expert_used or 0 for config in fitting), default=0)
    assert Estimator(mixture, gpu_memory_bytes=n_bytes).max_experts(n_ctx=n_ctx) == best


@few
@given(memories, contexts)
def test_max_ubatch_is_the_largest_of_all_that_fit(dense: ModelSpec, n_bytes: int, n_ctx: int) -> None:
    every = (RunConfig(n_ctx=n_ctx, n_batch=512, n_ubatch=n) for n in range(32, 513, 32))
    best = max((config.n_ubatch for config in runs(dense, n_bytes, every)), default=0)
    assert Estimator(dense, gpu_memory_bytes=n_bytes).max_ubatch(n_ctx=n_ctx, n_batch=512) == best


@few
@given(memories, contexts)
def test_max_gpu_layers_leaves_the_fewest_layers_off(dense: ModelSpec, n_bytes: int, n_ctx: int) -> None:
    every = (RunConfig(n_ctx=n_ctx, n_gpu_layers=n) for n in range(1, 8))
    best = max((config.n_gpu_layers for config in runs(dense, n_bytes, every)), default=0)
    assert Estimator(dense, gpu_memory_bytes=n_bytes).max_gpu_layers(n_ctx=n_ctx) == best


@few
@given(memories, contexts)
def test_min_cpu_moe_keeps_the_fewest_experts_off(mixture: ModelSpec, n_bytes: int, n_ctx: int) -> None:
    fitting = runs(mixture, n_bytes, (RunConfig(n_ctx=n_ctx, n_cpu_moe=n) for n in range(7)))
    best = min((config.n_cpu_moe for config in fitting), default=None)
    assert Estimator(mixture, gpu_memory_bytes=n_bytes).min_cpu_moe(n_ctx=n_ctx) == best


@few
@given(memories, contexts)
def test_best_kv_type_is_the_truest_that_fits(dense: ModelSpec, n_bytes: int, n_ctx: int) -> None:
    fitting = runs(dense, n_bytes, (RunConfig(n_ctx=n_ctx, type_k=kind, type_v=kind) for kind in BEST_KV_TYPES))
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
    assert not estimator.predict(RunConfig(n_ctx=20_000, rope_scaling="yarn", rope_scale=2)).warnings
    assert not estimator.predict(RunConfig(n_ctx=20_000, n_seq_max=2)).warnings
    without_positions = Estimator(catalogue_model("granite-4.0-h-tiny", "Q4_K_M"))
    assert not without_positions.predict(RunConfig(n_ctx=150_000)).warnings
