"""Overhead: the pool follows ggml-cuda's kernels, the context the card."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.overhead import (
    RUN_BYTES_PER_THREAD,
    context_bytes,
    driver_bytes,
    pool_bytes,
    resident_bytes,
    resident_threads,
    workspace_bytes,
)
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate
from oomph.gpus import GpuSpec, gpu
from oomph.units import MIB

QWEN_Q4 = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
QWEN_BF16 = catalogue_model("qwen3-30b-a3b", "BF16")
CARD = gpu("RTX PRO 6000 Blackwell")


@pytest.mark.parametrize(
    ("model", "n_ubatch", "n_expert_used", "expected_mib"),
    [
        (QWEN_Q4, 512, 8, 48),
        (QWEN_Q4, 512, 10, 48),
        (QWEN_Q4, 512, 16, 52),
        (QWEN_Q4, 2048, 8, 70),
        (QWEN_Q4, 2048, 10, 78),
        (QWEN_Q4, 2048, 16, 106),
        (QWEN_BF16, 512, 8, 72),
        (QWEN_BF16, 512, 10, 80),
        (QWEN_BF16, 512, 16, 110),
        (QWEN_BF16, 2048, 8, 186),
        (QWEN_BF16, 2048, 10, 224),
        (QWEN_BF16, 2048, 16, 338),
    ],
)
def test_the_pool_is_what_the_cuda_backend_took(
    model, n_ubatch: int, n_expert_used: int, expected_mib: int
) -> None:  # type: ignore[no-untyped-def]
    """Workspace and pool after a prompt with flash attention, as llama.cpp 0.5.0 took them on a
    phantom card."""
    config = RunConfig(n_ctx=32768, n_ubatch=n_ubatch, flash_attn="on", n_expert_used=n_expert_used)
    assert pool_bytes(model, config, CARD) == expected_mib * MIB


def test_without_flash_attention_the_pool_grows_with_the_fill() -> None:
    """1,062 MiB were taken at a full 32k, of which the last micro-batch did not see all cells."""
    sizes = [
        pool_bytes(QWEN_Q4, RunConfig(n_ctx=c, flash_attn="off"), CARD) / MIB
        for c in (4096, 32768, 90112)
    ]
    assert sizes == sorted(sizes)
    assert sizes[1] == pytest.approx(1062, abs=4)


@settings(max_examples=20, deadline=None)
@given(n_ubatch=st.integers(32, 2048), more=st.integers(1, 512))
def test_a_larger_micro_batch_needs_no_smaller_activations(n_ubatch: int, more: int) -> None:
    """The fix-up buffer may vanish as tiles fill the card, by no more than its size."""
    fixup = 4 * CARD.sm_count * 128 * 128
    small, large = (
        pool_bytes(QWEN_BF16, RunConfig(n_ubatch=n, flash_attn="on"), CARD)
        for n in (n_ubatch, n_ubatch + more)
    )
    assert large >= small - fixup - 2 * MIB


def test_the_workspace_depends_on_the_generation() -> None:
    assert workspace_bytes(gpu("RTX 4090")) == 4 * MIB
    assert workspace_bytes(gpu("H100 PCIe")) == workspace_bytes(CARD) == 32 * MIB


@pytest.mark.parametrize(
    ("card", "seen_mib"), [("RTX 4060 Ti", 107), ("RTX PRO 6000 Blackwell", 555)]
)
def test_the_context_is_near_what_was_published(card: str, seen_mib: int) -> None:
    """An idle one: a first prompt adds to it."""
    idle = context_bytes(gpu(card), default_coefficients())
    idle -= RUN_BYTES_PER_THREAD * resident_threads(gpu(card))
    assert idle / MIB == pytest.approx(seen_mib, rel=0.16)


def test_threads_that_an_sm_holds() -> None:
    per_sm = {
        name: resident_threads(gpu(name)) // gpu(name).sm_count
        for name in ("H200", "A100 SXM", "Tesla T4", "RTX 3090", "RTX 4090", "RTX 5090")
    }
    assert list(per_sm.values()) == [2048, 2048, 1024, 1536, 1536, 1536]


def test_only_what_multiplies_through_cublas_pays_for_its_handle_on_hopper() -> None:
    """66 MiB of an H200: with the experts' router in 32 bits, not in a dense quantized model."""
    dense, shipped = catalogue_model("qwen3-8b", "Q4_K_M"), default_coefficients()

    def handle(model: ModelSpec, card: GpuSpec) -> int:
        config = RunConfig(flash_attn="on")
        return driver_bytes(model, config, card, shipped) - context_bytes(card, shipped)

    assert handle(QWEN_Q4, gpu("H200")) == pytest.approx(66 * MIB, rel=0.01)
    assert [handle(dense, gpu("H200")), handle(QWEN_Q4, CARD)] == [0, 0]


def test_a_calibrated_card_has_its_own_context() -> None:
    shipped = default_coefficients()
    own = replace(shipped, cards={CARD.name: {"memory.own_context_factor": 1.5}})
    assert context_bytes(CARD, own) == pytest.approx(1.5 * context_bytes(CARD, shipped), rel=1e-6)


def test_host_memory_counts_what_is_not_on_a_card() -> None:
    shipped = default_coefficients()
    memory = MemoryEstimate(
        devices={
            "CPU": DeviceMemory(weights_bytes=100, kv_cache_bytes=50),
            "CUDA0": DeviceMemory(weights_bytes=10**9),
        }
    )
    weights = 100 * shipped["memory.host_weights_share"]
    base = shipped["memory.host_base_bytes"] + shipped["memory.host_cuda_bytes"]
    assert resident_bytes(memory, shipped) == round(base + weights + 50)


def test_pinned_buffers_beside_a_card_are_resident_to_the_last_byte() -> None:
    """On an H200's host 12, 40 and 96 MiB of them showed whole in the process's memory."""
    shipped = default_coefficients()

    def grown(*cards: str) -> int:
        small, large = (
            resident_bytes(
                MemoryEstimate(
                    devices={"CPU": DeviceMemory(compute_bytes=mib * MIB)}
                    | {card: DeviceMemory() for card in cards}
                ),
                shipped,
            )
            for mib in (12, 96)
        )
        return large - small

    assert grown("CUDA0") == 84 * MIB
    assert grown() == pytest.approx(84 * MIB * shipped["memory.host_compute_share"], abs=1)


def test_a_model_without_attention_has_a_pool_for_its_products_alone() -> None:
    mamba = catalogue_model("mamba2-2.7b", "Q8_0")
    fused, plain = (
        pool_bytes(mamba, RunConfig(flash_attn=fa), gpu("RTX 4090")) for fa in ("on", "off")
    )
    assert 0 < fused == plain
