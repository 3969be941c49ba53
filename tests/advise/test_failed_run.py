"""What would have fitted: every offer is held against the estimator that it came from."""

import re
from pathlib import Path

import pytest

from oomph.advise.alternatives import would_have_fitted
from oomph.advise.failed_run import classify_log
from oomph.advise.verdict import SURE
from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import context_bytes
from oomph.gpus import gpu as find_gpu
from oomph.measure.logs.lines import read_lines
from oomph.programs.said import Said
from oomph.units import MIB

LOGS = Path(__file__).parents[1] / "data" / "logs"


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
    step = would_have_fitted(small, RunConfig(), "oom_weights")
    layers, without = offered(step, "n_gpu_layers"), offered(step, "n_cpu_moe")
    config = RunConfig(n_gpu_layers=layers, n_cpu_moe=without)
    assert small.fits(config)
    assert not small.fits(config.with_(n_gpu_layers=layers + 1))


def remedy(name: str, model: str, gpu: str | None = None) -> str:
    return classify_log(read_lines(LOGS / f"{name}.log"), model=model, gpu=gpu).found.advice


def test_a_remedy_is_for_all_cards_that_the_log_names() -> None:
    advice = remedy("two-cards", "llama-3.3-70b:Q4_K_M")
    n_ctx = offered(advice, "n_ctx")
    assert "free by the log: 23,991 MiB on CUDA0, 23,991 MiB on CUDA1" in advice
    card = find_gpu("RTX 3090")
    both = Estimator(
        "llama-3.3-70b:Q4_K_M",
        card,
        gpu_memory_bytes=23_991 * MIB + context_bytes(card, default_coefficients()),
    )
    config = RunConfig(n_ctx=n_ctx, n_devices=2, flash_attn="on")
    assert both.cautious(SURE).fits(config)
    assert not both.cautious(SURE).fits(config.with_(n_ctx=n_ctx + 256))


def test_a_remedy_reads_the_older_names_of_the_knobs() -> None:
    advice = remedy("old-names", "llama-3.1-8b:Q4_K_M", "RTX 3060")
    assert "n_ctx was 65,536" in advice
    assert offered(advice, "n_ctx") < 65_536
    assert "n_gpu_layers 33" not in advice


def test_a_context_that_drafts_is_remedied_with_it() -> None:
    said = Said(
        knobs={
            "n_ctx": 150_016,
            "n_seq_max": 1,
            "n_ubatch": 2048,
            "type_k": "q4_0",
            "type_v": "q4_0",
            "spec_type": "draft-mtp",
        }
    )
    found = classify_log(
        read_lines(LOGS / "mtp-context-refused.log"),
        model="qwen3.6-27b-mtp:Q8_0",
        gpu="RTX 5090",
        said=said,
    ).found
    assert found.context == "mtp"
    assert "no drafting (without --spec-type)" in found.advice
    assert 4096 < offered(found.advice, "n_ctx") < 150_016


@pytest.mark.parametrize(
    ("name", "gpu", "why"),
    [
        ("old-names", None, "add --gpu"),
        ("mtp-context-refused", "RTX 3090", "llama-3.1-8b:Q4_K_M has no MTP head"),
        ("ollama-memory-layout", "RTX 3090", "the log does not tell n_ctx"),
    ],
)
def test_a_remedy_that_the_log_does_not_support_is_withheld_and_says_why(
    name: str, gpu: str | None, why: str
) -> None:
    advice = remedy(name, "llama-3.1-8b:Q4_K_M", gpu)
    assert "what would have fitted is not computed" in advice
    assert why in advice
    assert "would have fitted (" not in advice
