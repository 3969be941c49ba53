"""Layers weighed one by one: together they are what the memory model counts, at any context."""

import pytest

from oomph.advise.placement.parts import LayerParts
from oomph.advise.quantizations import published_variants
from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.memory import MemoryModel

KINDS_OF_LAYER = (
    "qwen3-0.6b",
    "gemma-3-1b",
    "granite-4.0-h-tiny",
    "mamba2-2.7b",
    "deepseek-v2-lite",
    "deepseek-v4-flash",
    "gpt-oss-20b",
)


@pytest.mark.parametrize("name", KINDS_OF_LAYER)
@pytest.mark.parametrize(
    "config",
    [
        RunConfig(n_ctx=4096, flash_attn="on"),
        RunConfig(
            n_ctx=8192,
            flash_attn="on",
            type_k="q8_0",
            type_v="q8_0",
            n_seq_max=3,
            kv_unified=False,
        ),
        RunConfig(n_ctx=512, flash_attn="off", swa_full=True),
    ],
)
def test_layers_add_up_to_the_memory_of_the_card_at_any_context(
    name: str, config: RunConfig
) -> None:
    estimator = Estimator(catalogue_model(name, "Q4_K_M"), "RTX 4090")
    parts, memory = LayerParts(estimator), MemoryModel(estimator.model)
    fixed_at, pieces = parts.fixed_bytes(config), parts.of(config, "decode").n_bytes.pieces
    of_experts = sum(sum(each.values()) for each in pieces)
    for n_ctx in (256, 1000, config.n_ctx, 65_536, 1_048_576):
        longer = config.with_(n_ctx=n_ctx)
        counted = (part["CUDA0"] for part in memory.fixed(memory.setup(longer)).values())
        assert sum(fixed_at(n_ctx)) + of_experts == sum(counted)
        assert fixed_at(n_ctx) == parts.of(longer, "decode").n_bytes.fixed


def test_quantizations_share_what_is_alike_and_weigh_what_they_weigh_alone() -> None:
    config, shared = RunConfig(n_ctx=8192, n_devices=2), None
    for model in published_variants("granite-3.1-3b-a800m"):
        estimator = Estimator(model, "2x3060")
        shared, alone = LayerParts(estimator, like=shared), LayerParts(estimator)
        for goal in ("decode", "prefill"):
            own, other = shared.of(config, goal), alone.of(config, goal)
            assert own.n_bytes == other.n_bytes
            assert own.times == other.times


def test_another_model_shares_nothing() -> None:
    config = RunConfig(n_ctx=8192)
    one, other = (Estimator(f"{name}:Q8_0", "3060") for name in ("qwen3-0.6b", "qwen3-1.7b"))
    first = LayerParts(one)
    first.of(config, "decode")
    beside = LayerParts(other, like=first).of(config, "decode")
    assert beside.n_bytes == LayerParts(other).of(config, "decode").n_bytes
