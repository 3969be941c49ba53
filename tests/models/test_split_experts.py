"""The split is exact where it says so, refuses what it cannot cut, and its model answers like the
dense one."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf
from oomph.architectures.from_gguf import read_model_file
from oomph.errors import ModelFileError, StoreError
from oomph.gguf.header import SkippedArray
from oomph.models.demo import demo_model, dense_model, ranking_text
from oomph.models.split_experts import ROUTER_SCALE, SCALE_OFFSETS, scale_weights, split_experts

Q = gguf.GGMLQuantizationType


def _weights(path: Path) -> dict[str, NDArray[np.float32]]:
    return {t.name: gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


def _feed_forward(
    x: NDArray[np.float32], gate: NDArray, up: NDArray, down: NDArray
) -> NDArray[np.float32]:
    opened = gate @ x
    return down @ (opened / (1 + np.exp(-opened)) * (up @ x))


@pytest.mark.parametrize("quant", [Q.F32, Q.F16, Q.BF16, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0])
def test_all_experts_together_compute_what_the_dense_layer_did(
    write_dense: Callable[..., Path], quant: Q
) -> None:
    dense = write_dense(gate=quant, down=quant)
    split = split_experts(dense, dense.with_name("split.gguf"), n_expert=8)
    before, after = _weights(dense), _weights(split)
    x = np.random.default_rng(1).normal(size=64).astype(np.float32)
    for layer in range(2):
        stem = f"blk.{layer}.ffn_"
        whole = _feed_forward(
            x, *(before[f"{stem}{part}.weight"] for part in ("gate", "up", "down"))
        )
        logits = after[f"{stem}gate_inp.weight"] @ x
        shares = np.exp(logits) / np.exp(logits).sum()
        experts = [after[f"{stem}{part}_exps.weight"] for part in ("gate", "up", "down")]
        mixed = sum(
            share * _feed_forward(x, *parts) for share, *parts in zip(shares, *experts, strict=True)
        )
        np.testing.assert_allclose(mixed, whole, rtol=0.02, atol=0.01 * np.abs(whole).max())
        even = sum(_feed_forward(x, *parts) / 8 for parts in zip(*experts, strict=True))
        np.testing.assert_allclose(even, whole, rtol=1e-4, atol=1e-4 * np.abs(whole).max())


def test_the_header_says_what_the_model_became(write_dense: Callable[..., Path]) -> None:
    dense = write_dense()
    spec = read_model_file(split_experts(dense, dense.with_name("split.gguf"), n_expert=4))
    assert (spec.n_expert, spec.n_expert_used, spec.integer("feed_forward_length")) == (4, 4, 128)
    assert spec.name == "tiny-4x128"
    assert spec.tensors["blk.0.ffn_down_exps.weight"].ne == (128, 64, 4)
    assert spec.tensors["blk.1.ffn_up_exps.weight"].ne == (64, 128, 4)
    assert spec.tensors["blk.0.ffn_gate_inp.weight"].ne == (64, 4)
    assert "blk.0.ffn_gate.weight" not in spec.tensors
    assert isinstance(spec.metadata["tokenizer.ggml.tokens"], SkippedArray)
    assert spec.metadata["tokenizer.ggml.scores"] == (0.5, -1.0, 2.0)


def test_a_router_row_points_where_its_experts_gate_points(
    write_dense: Callable[..., Path],
) -> None:
    dense = write_dense(gate=Q.F32)
    weights = _weights(split_experts(dense, dense.with_name("split.gguf"), n_expert=8))
    rows, gates = weights["blk.0.ffn_gate_inp.weight"], weights["blk.0.ffn_gate_exps.weight"]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), ROUTER_SCALE, rtol=1e-5)
    cosine = [row @ gate.mean(axis=0) for row, gate in zip(rows, gates, strict=True)]
    np.testing.assert_allclose(
        cosine, [ROUTER_SCALE * np.linalg.norm(gate.mean(axis=0)) for gate in gates], rtol=1e-4
    )


@pytest.mark.parametrize("quant", sorted(SCALE_OFFSETS))
def test_scaling_the_blocks_scales_every_weight_exactly(quant: str) -> None:
    kind = Q[quant]
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(3)
    data = rng.integers(0, 256, size=(5, 4 * block_bytes), dtype=np.uint8)
    blocks = data.reshape(-1, block_bytes)
    for offset in SCALE_OFFSETS[quant]:
        blocks[:, offset : offset + 2] = rng.normal(size=(20, 1)).astype(np.float16).view(np.uint8)
    before, after = (
        gguf.dequantize(data, kind),
        gguf.dequantize(scale_weights(data, quant, 8), kind),
    )
    assert before.shape == (5, 4 * block)
    assert np.ptp(before) > 0
    np.testing.assert_array_equal(after, 8 * before)


@pytest.mark.parametrize("quant", ["Q8_0", "F16"])
def test_a_scale_that_would_overflow_is_refused(quant: str) -> None:
    large = np.full((1, 17), 30000.0, np.float16)
    with (
        pytest.raises(ModelFileError, match=f"leaves the range of {quant}"),
        np.errstate(over="ignore"),
    ):
        scale_weights(large if quant == "F16" else large.view(np.uint8), quant, 8)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"arch": "gemma3"}, "'gemma3'; only a 'llama' model"),
        ({"n_expert": 4}, "0 of its 4 experts are used"),
        ({"without": "ffn_up"}, "blk.0.ffn_up.weight is missing"),
        ({"bias": True}, "blk.0.ffn_up has a bias"),
        (
            {"down": Q.Q8_0, "n_ff": 128},
            "blk.0.ffn_down.weight is 128 wide and cannot be cut into 8",
        ),
        ({"down": Q.TQ2_0}, "blk.0.ffn_down.weight in .* is TQ2_0"),
    ],
)
def test_what_cannot_be_split_is_refused_in_a_sentence(
    write_dense: Callable[..., Path], change: dict[str, object], says: str
) -> None:
    dense = write_dense(**change)
    target = dense.with_name("split.gguf")
    with pytest.raises(ModelFileError, match=says):
        split_experts(dense, target)
    assert os.listdir(dense.parent) == [dense.name]


def test_a_number_of_experts_that_is_no_power_of_two_is_refused(
    write_dense: Callable[..., Path],
) -> None:
    dense = write_dense()
    with pytest.raises(ModelFileError, match="n_expert is 6; give a power of two"):
        split_experts(dense, dense.with_name("split.gguf"), n_expert=6)


def test_a_target_that_cannot_be_written_is_named(write_dense: Callable[..., Path]) -> None:
    dense = write_dense()
    with pytest.raises(StoreError, match=r"missing/split\.gguf cannot be written \(No such file"):
        split_experts(dense, dense.parent / "missing" / "split.gguf")


def _perplexity(path: Path, *, n_expert_used: int | None = None, n_tokens: int = 256) -> float:
    import llama_cpp

    overrides = {"llama.expert_used_count": n_expert_used} if n_expert_used else None
    model = llama_cpp.Llama(
        str(path),
        n_ctx=n_tokens,
        logits_all=True,
        n_threads=1,  # threads that wait for each other on busy cores take longer than one
        n_threads_batch=1,
        verbose=False,
        kv_overrides=overrides,
    )
    tokens = model.tokenize(ranking_text().encode(), add_bos=False)[:n_tokens]
    model.eval(tokens)
    logits = model.scores[: n_tokens - 1]
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    model.close()
    return float(np.exp(np.mean(log_sum - logits[np.arange(n_tokens - 1), tokens[1:]])))


@pytest.mark.llama
def test_the_split_model_answers_like_the_dense_one_and_worse_with_fewer_experts() -> None:
    dense, split = _perplexity(dense_model()), _perplexity(demo_model())
    assert split == pytest.approx(dense, rel=0.005)
    assert 10 < dense < 60
    seven, four = (
        _perplexity(demo_model(), n_expert_used=7),
        _perplexity(demo_model(), n_expert_used=4),
    )
    assert 1.2 * split < seven < 6 * split
    assert four > 5 * seven
