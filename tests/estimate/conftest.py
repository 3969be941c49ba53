"""Small models, built like a file's header, that the estimator's tests share."""

from collections.abc import Callable
from typing import Any

import pytest

from oomph.architectures.spec import ModelSpec
from oomph.gguf.ggml_types import quant
from oomph.gguf.header import TensorInfo

MakeModel = Callable[..., ModelSpec]


def _tensors(  # noqa: PLR0913 - what a test may vary
    n_layer: int,
    n_embd: int,
    n_head: int,
    n_head_kv: int,
    head: int,
    n_ff: int,
    n_expert: int,
    kind: str,
    n_vocab: int,
) -> dict[str, TensorInfo]:
    found: dict[str, TensorInfo] = {}

    def add(name: str, *ne: int, quant_name: str = "F32") -> None:
        found[name] = TensorInfo(name=name, ne=ne, quant=quant(quant_name))

    add("token_embd.weight", n_embd, n_vocab, quant_name=kind)
    add("output_norm.weight", n_embd)
    add("output.weight", n_embd, n_vocab, quant_name=kind)
    for il in range(n_layer):
        blk = f"blk.{il}."
        add(f"{blk}attn_norm.weight", n_embd)
        add(f"{blk}attn_q.weight", n_embd, n_head * head, quant_name=kind)
        add(f"{blk}attn_k.weight", n_embd, n_head_kv * head, quant_name=kind)
        add(f"{blk}attn_v.weight", n_embd, n_head_kv * head, quant_name=kind)
        add(f"{blk}attn_output.weight", n_head * head, n_embd, quant_name=kind)
        add(f"{blk}ffn_norm.weight", n_embd)
        experts = (n_expert,) if n_expert else ()
        tag = "_exps" if n_expert else ""
        if n_expert:
            add(f"{blk}ffn_gate_inp.weight", n_embd, n_expert)
        for which in ("gate", "up"):
            add(f"{blk}ffn_{which}{tag}.weight", n_embd, n_ff, *experts, quant_name=kind)
        add(f"{blk}ffn_down{tag}.weight", n_ff, n_embd, *experts, quant_name=kind)
    return found


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """A factory of llama-like models; `n_expert` makes them mixtures, `metadata` adds keys."""

    def make(  # noqa: PLR0913 - what a test may vary
        arch: str = "llama",
        *,
        n_layer: int = 6,
        n_embd: int = 256,
        n_head: int = 4,
        n_head_kv: int = 2,
        head: int = 64,
        n_ff: int = 512,
        n_expert: int = 0,
        n_vocab: int = 1000,
        kind: str = "Q8_0",
        n_ctx_train: int = 16384,
        metadata: dict[str, Any] | None = None,
    ) -> ModelSpec:
        numbers: dict[str, Any] = {
            "block_count": n_layer,
            "embedding_length": n_embd,
            "context_length": n_ctx_train,
            "feed_forward_length": n_ff,
            "attention.head_count": n_head,
            "attention.head_count_kv": n_head_kv,
            "attention.key_length": head,
            "attention.value_length": head,
        }
        if n_expert:
            numbers |= {"expert_count": n_expert, "expert_used_count": 2}
        numbers |= metadata or {}
        return ModelSpec(
            name="small",
            arch=arch,
            metadata={f"{arch}.{key}": value for key, value in numbers.items()},
            tensors=_tensors(
                n_layer, n_embd, n_head, n_head_kv, head, n_ff, n_expert, kind, n_vocab
            ),
            source="small",
        )

    return make
