"""The longest context over quantizations, experts and caches, beside what was seen to run full."""

from pathlib import Path

from oomph.advise.max_context import context_limits
from oomph.advise.quantizations import (
    USUAL,
    published_variants,
    quantization_of,
    requantized,
    smaller_variants,
)
from oomph.architectures.rope import positions
from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.records.store import Store

CARD = gpu("RTX 4090")


def test_reaches_are_predicted_and_held_beside_what_ran(repository: Path) -> None:
    records = list(Store(repository / "results/phantom/frontier-qwen3-30b-a3b/rtx-4090").records())
    estimator = Estimator(read_model("qwen3-30b-a3b:Q4_K_M"), CARD)
    found = list(
        context_limits(
            [estimator], RunConfig(), experts=(8, 10), caches=("f16", "q8_0"), records=records
        )
    )
    assert [(r.n_expert_used, r.type_kv, r.ran_n_ctx) for r in found] == [
        (8, "f16", 66_304),
        (8, "q8_0", 122_624),
        (10, "f16", 66_304),
        (10, "q8_0", 123_392),
    ]
    assert all(0 < r.sure_n_ctx < r.even_n_ctx < (r.ran_n_ctx or 0) for r in found), (
        "a phantom has no CUDA context"
    )
    assert {r.ran_backend for r in found} == {"phantom"}
    off = list(
        context_limits(
            [estimator], RunConfig(flash_attn="off"), experts=(8,), caches=("f16",), records=records
        )
    )
    assert off[0].ran_n_ctx == 34_048


def test_without_records_nothing_is_said_to_run() -> None:
    (one,) = context_limits(
        [Estimator(read_model("qwen3-8b:Q4_K_M"), CARD)],
        RunConfig(),
        experts=(None,),
        caches=("f16",),
    )
    assert (one.ran_n_ctx, one.ran_backend, one.record_id) == (None, None, None)
    assert one.sure_n_ctx == one.limit == 131_072


def test_positions_are_native_and_extended() -> None:
    assert positions(read_model("qwen3-30b-a3b:F16")).furthest == 131_072
    llama = positions(read_model("llama-3.1-8b:F16"))
    assert (llama.native, llama.extended, llama.furthest) == (131_072, None, 131_072)


def test_a_published_model_comes_in_every_sensible_quantization() -> None:
    names = [quantization_of(model) for model in published_variants("llama-3.1-8b", rare=True)]
    assert {"F16", "Q8_0", "Q4_K_M", "IQ1_S"} <= set(names)
    assert not {"F32", "TQ1_0", "MXFP4"} & set(names)
    usual = [quantization_of(model) for model in published_variants("llama-3.1-8b")]
    assert usual == [name for name in names if name in USUAL]
    sizes = [model.n_bytes for model in published_variants("llama-3.1-8b", rare=True)]
    assert sizes == sorted(sizes, reverse=True)


def test_a_file_is_requantized_as_the_catalogue_has_it() -> None:
    """llama-quantize's rules go by tensor: from a file's own tensors they give what the published
    shape gives."""
    from dataclasses import replace

    published = read_model("qwen3-30b-a3b:Q8_0")
    file = replace(published, source="Qwen3.gguf", file_bytes=published.n_bytes)
    assert requantized(file, "Q4_K_M").n_bytes == read_model("qwen3-30b-a3b:Q4_K_M").n_bytes
    assert [name for name, _ in smaller_variants(file)][:2] == ["Q6_K", "Q5_K_M"]
    assert list(smaller_variants(read_model("gpt-oss-20b:MXFP4"))) == []


def test_an_encoders_contexts_are_inputs() -> None:
    estimator = Estimator(read_model("bge-m3:F16"), gpu_memory_bytes=2200 << 20)
    (found,) = context_limits(
        [estimator],
        RunConfig(embeddings=True, flash_attn="off"),
        experts=(None,),
        caches=("f16",),
    )
    assert 512 < found.even_n_ctx < 8192
    assert found.even_n_ctx % 256 == 0


def test_quantizations_asked_together_reach_as_far_as_alone() -> None:
    cards = ["RTX 3060", "RTX 3080"]
    config = RunConfig(n_devices=2, n_seq_max=1)
    models = published_variants("gemma-3-12b")
    first = Estimator(models[0], cards)
    together = context_limits(
        [first.changed(model=model) for model in models],
        config,
        experts=(None,),
        caches=("f16", "q8_0"),
    )
    alone = (
        each
        for model in models
        for kind in ("f16", "q8_0")
        for each in context_limits(
            [Estimator(model, cards)], config, experts=(None,), caches=(kind,)
        )
    )
    assert list(together) == list(alone)
