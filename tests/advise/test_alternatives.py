"""What would do instead: every offer fits, the mildest of its kind, and the least given up comes
first."""

from functools import cache
from typing import Any

import pytest

from oomph.advise.alternatives import CRAWLS, Offer, offers
from oomph.advise.verdict import SURE
from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu


@cache
def estimator(model: str, card: str) -> Estimator:
    # it keeps what it has computed from one test to the next
    return Estimator(read_model(model), gpu(card))


def offered(model: str, card: str, **knobs: Any) -> dict[str, Offer]:
    asked = estimator(model, card)
    prediction = asked.predict(RunConfig(**knobs), longest=False)
    return {offer.kind: offer for offer in offers(asked, prediction)}


def test_every_offer_is_likely_to_fit_and_says_what_it_costs() -> None:
    found = offered("qwen3-30b-a3b:Q4_K_M", "RTX 4090", n_ctx=90_000, n_expert_used=10)
    assert list(found) == ["type_kv", "n_cpu_moe", "n_ctx", "quantization", "cards", "card"]
    for offer in found.values():
        assert offer.probability is not None
        assert offer.probability >= SURE - 1e-6
        assert offer.margin_bytes > 0
        assert offer.speeds is not None
    assert found["type_kv"].value == "q8_0"
    assert found["n_cpu_moe"].host_bytes > found["type_kv"].host_bytes
    assert (found["n_cpu_moe"].decode_share or 1) < 0.9


def test_the_mildest_of_a_kind_is_offered() -> None:
    config = RunConfig(n_ctx=90_000, n_expert_used=10)
    sure = estimator("qwen3-30b-a3b:Q4_K_M", "RTX 4090").cautious(SURE)
    found = offered("qwen3-30b-a3b:Q4_K_M", "RTX 4090", n_ctx=90_000, n_expert_used=10)
    placed, n_ctx = found["n_cpu_moe"], found["n_ctx"].config.n_ctx
    assert isinstance(placed.value, int)
    assert sure.fits(placed.config)
    assert not sure.fits(config.with_(n_cpu_moe=placed.value - 1))
    assert not sure.fits(config.with_(n_ctx=n_ctx + 256))


def test_flash_attention_spares_the_rest() -> None:
    found = offered(
        "qwen3-30b-a3b:F16", "RTX PRO 6000 Blackwell", n_ctx=90_000, flash_attn="off", n_ubatch=2048
    )
    assert next(iter(found)) == "flash_attn"
    assert "type_kv" not in found


def test_small_changes_go_together_where_none_would_do_alone() -> None:
    found = offered("gpt-oss-20b:MXFP4", "RTX 3060", n_ctx=65_536)
    together = found["together"].config
    assert (together.n_outputs_max, together.swa_full, together.type_k) == (1, False, "q4_0")
    assert not {"type_kv", "swa_full", "n_outputs_max"} & set(found)


def test_what_leaves_little_speed_goes_last() -> None:
    found = offered("llama-3.3-70b:Q4_K_M", "RTX 4090", n_ctx=8192)
    assert list(found)[-1] == "n_gpu_layers"
    assert (found["n_gpu_layers"].decode_share or 1) < CRAWLS
    assert "n_cpu_moe" not in found


def test_too_many_experts_are_answered_with_fewer() -> None:
    assert (
        offered("qwen3-30b-a3b:Q4_K_M", "RTX 4090", n_expert_used=32)["n_expert_used"].value == 24
    )


@pytest.mark.parametrize("model", ["gpt-oss-20b:MXFP4", "qwen3-8b:Q4_K_M"])
def test_a_smaller_quantization_is_offered_where_there_is_one(model: str) -> None:
    found = offered(
        model, "RTX 3060", n_ctx=40_960, n_ubatch=2048, type_k="q8_0", type_v="q8_0", n_seq_max=4
    )
    assert ("quantization" in found) == (model != "gpt-oss-20b:MXFP4")
