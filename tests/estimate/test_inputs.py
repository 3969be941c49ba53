"""Inputs of embeddings: how long one may be, how fast it is read, and what its results take."""

from dataclasses import replace
from typing import Any

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.graph.pooling import own_pooling
from oomph.estimate.memory import MemoryModel
from oomph.estimate.work import forward_work
from oomph.programs.said import Said
from oomph.units import MIB

BGE_M3 = catalogue_model("bge-m3", "F16")
QWEN3 = catalogue_model("qwen3-embedding-0.6b", "Q8_0")


@pytest.mark.parametrize(
    ("name", "said", "longest"),
    [
        ("bge-m3", {}, 512),
        ("bge-m3", {"n_ubatch": 8192}, 2048),
        ("bge-m3", {"n_ubatch": 8192, "n_batch": 8192}, 8192),
        ("bge-m3", {"n_ubatch": 8192, "n_batch": 8192, "n_ctx": 4000}, 4096),
        ("bge-small-en-v1.5", {"n_ubatch": 1024}, 512),
        ("qwen3-embedding-0.6b", {}, 32768),  # its last token alone is looked at, over a cache
        ("qwen3-embedding-0.6b", {"n_seq_max": 4}, 8192),
        ("qwen3-embedding-0.6b", {"pooling": "mean"}, 512),
        ("qwen3-reranker-0.6b", {"n_ctx": 8192}, 8192),
    ],
)
def test_an_input_is_one_micro_batch_unless_its_last_token_is_looked_at(
    name: str, said: dict[str, Any], longest: int
) -> None:
    model = catalogue_model(name, "Q8_0")
    config = Said(knobs={"embeddings": True, **said}).config(model)
    assert Estimator(model).longest_input(config) == longest


def test_a_prediction_of_an_encoder_is_of_its_inputs() -> None:
    asked = Said(knobs={"embeddings": True}).config(BGE_M3)
    found = Estimator(BGE_M3, "RTX 3090").predict(asked)
    assert found.inputs is not None
    assert (found.inputs.n_tokens, found.inputs.max_tokens) == (512, 8192)
    assert (found.speed, found.max_context, found.fits) == (None, None, True)
    assert found.speed_reason == "embeddings are asked for: no token is decoded"
    low, high = found.inputs.interval_90 or (0.0, 0.0)
    assert 0 < low < (found.inputs.tokens_per_s or 0) < high
    text = str(found)
    assert "one input of up to 512 tokens; up to 8,192 would fit, with n_ubatch 8192" in text


def test_the_longest_input_is_the_last_that_fits() -> None:
    asked = Said(knobs={"embeddings": True, "flash_attn": "off"}).config(BGE_M3)
    small = Estimator(BGE_M3, gpu_memory_bytes=2200 * MIB)
    longest = small.max_input(asked)
    fits = [
        small.fits(asked.with_(n_ubatch=n, n_batch=n, n_outputs_max=n))
        for n in (longest, longest + 256)
    ]
    assert 512 < longest < 8192
    assert fits == [True, False]


def test_the_output_buffer_grows_to_a_whole_batch() -> None:
    """llama-server on the CPU took 52 MiB more for an input of 400 tokens: 47 MiB of them are
    this."""
    model = catalogue_model("bge-small-en-v1.5", "Q8_0")
    asked = Said(knobs={"embeddings": True, "n_ubatch": 400}).config(model)
    inputs = Estimator(model).predict(asked).inputs
    assert inputs is not None
    assert inputs.result_bytes == 400 * 4 * (30522 + 384)


def test_an_encoder_keeps_nothing_and_an_embedding_model_that_decodes_does() -> None:
    config = RunConfig(n_ctx=8192, embeddings=True)
    caches = [
        sum(
            device.kv_cache_bytes for device in MemoryModel(model).estimate(config).devices.values()
        )
        for model in (BGE_M3, QWEN3)
    ]
    assert caches == [0, 896 * MIB]


def test_memory_of_an_encoder_hangs_on_no_context() -> None:
    short, long = (
        MemoryModel(BGE_M3).estimate(RunConfig(n_ctx=n, embeddings=True)) for n in (512, 1 << 20)
    )
    assert short == long


def test_what_is_asked_in_vain_is_said() -> None:
    memory = MemoryModel(BGE_M3)
    (unasked,) = memory.estimate(RunConfig()).warnings
    assert unasked.startswith("bge-m3 is an encoder, which makes embeddings and no text")
    (headless,) = memory.estimate(RunConfig(embeddings=True, pooling="rank")).warnings
    assert headless.startswith("pooling rank without a classifier's head in the file")
    reranker = MemoryModel(catalogue_model("bge-reranker-v2-m3", "Q8_0"))
    assert not reranker.estimate(RunConfig(embeddings=True)).warnings


def test_a_mean_of_tokens_that_are_not_all_results_is_refused() -> None:
    config = RunConfig(n_ubatch=1000, n_seq_max=3, embeddings=True, pooling="mean")
    found = Estimator(BGE_M3, "RTX 3090").predict(config)
    assert (found.refused, found.fits) == ("pooling", False)
    assert "1002 tokens and 1000 results" in found.memory.warnings[-1]
    assert Estimator(BGE_M3, "RTX 3090").predict(config.with_(n_ubatch=999)).refused is None


def test_pooling_is_the_files_own_unless_it_is_asked_for() -> None:
    assert [own_pooling(model) for model in (BGE_M3, QWEN3)] == ["cls", "last"]
    unsaid = replace(BGE_M3, metadata={**BGE_M3.metadata, "bert.pooling_type": 77})
    assert own_pooling(unsaid) == "none"


def test_where_each_token_is_a_result_each_pays_for_the_output_head() -> None:
    head = QWEN3.tensors["token_embd.weight"].n_bytes
    texts, vectors = (
        forward_work(QWEN3, MemoryModel(QWEN3).setup(RunConfig(n_ctx=4096, embeddings=asked)))[0]
        for asked in (False, True)
    )
    assert sum(texts.head_bytes.values()) == head
    assert not vectors.head_bytes
    more = sum(vectors.dense_bytes.values()) - sum(texts.dense_bytes.values())
    assert more == head


@pytest.mark.parametrize("name", ["bge-m3", "embeddinggemma-300m"])
def test_an_encoder_multiplies_with_no_output_head(name: str) -> None:
    model = catalogue_model(name, "F16")
    work, _ = forward_work(model, MemoryModel(model).setup(RunConfig(embeddings=True)))
    tables = sum(
        tensor.n_elements
        for name, tensor in model.tensors.items()
        if any(mark in name for mark in ("embd", "types", "dense", "bias")) or len(tensor.ne) == 1
    )
    multiplied = sum(tensor.n_elements for tensor in model.tensors.values()) - tables
    assert sum(work.dense_flops.values()) == 2 * multiplied
    assert not work.head_bytes
