"""Small dense models to split, and the real one for the tests that run it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gguf

N_EMBD, N_FF, N_LAYER = 64, 512, 2
Q = gguf.GGMLQuantizationType


@pytest.fixture
def write_dense(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny llama-architecture GGUF; keywords change what a test is about."""

    def write(  # noqa: PLR0913 - what a test may vary
        *,
        arch: str = "llama",
        down: Q = Q.Q4_1,
        gate: Q = Q.Q4_1,
        n_ff: int = N_FF,
        bias: bool = False,
        without: str = "",
        name: str = "tiny",
        n_expert: int = 0,
        file: str = "dense.gguf",
    ) -> Path:
        path = tmp_path / file
        rng = np.random.default_rng(7)
        writer = gguf.GGUFWriter(path, arch)
        writer.add_name(name)
        for key, value in (
            ("block_count", N_LAYER),
            ("embedding_length", N_EMBD),
            ("context_length", 256),
            ("feed_forward_length", n_ff),
            ("expert_count", n_expert),
        ):
            if value:
                writer.add_uint32(f"{arch}.{key}", value)
        writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ä"])
        writer.add_array("tokenizer.ggml.scores", [0.5, -1.0, 2.0])
        for layer in range(N_LAYER):
            for part, shape, quant in (
                ("ffn_gate", (n_ff, N_EMBD), gate),
                ("ffn_up", (n_ff, N_EMBD), gate),
                ("ffn_down", (N_EMBD, n_ff), down),
            ):
                if part != without:
                    weights = rng.normal(size=shape).astype(np.float32)
                    data = weights if quant is Q.F32 else gguf.quantize(weights, quant)
                    writer.add_tensor(f"blk.{layer}.{part}.weight", data, raw_dtype=quant)
            writer.add_tensor(f"blk.{layer}.ffn_norm.weight", np.ones(N_EMBD, np.float32))
            if bias:
                writer.add_tensor(f"blk.{layer}.ffn_up.bias", np.zeros(n_ff, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write
