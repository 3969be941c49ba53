"""What a tensor is for, by its name: attention, experts, router, embeddings …

Stands apart from `modelspec` because it is a reading of llama.cpp's tensor names (llama-arch.cpp),
good for saying where a model's bytes are; no estimate rests on it.
"""

from typing import Final

from oomph.architectures.spec import ModelSpec

_MARKS: Final = (
    ("shared experts", ("_shexp", "_chexp")),
    ("experts", ("_exps",)),
    ("router", ("ffn_gate_inp", "exp_probs_b")),
    ("recurrent", ("ssm_", "time_mix", "channel_mix", "shortconv")),
    ("multi-token prediction", ("nextn",)),
    ("norms", ("_norm",)),
    ("attention", ("attn_", "indexer")),
    ("dense feed-forward", ("ffn_",)),
    ("token embedding", ("token_embd", "per_layer_token_embd")),
    ("output head", ("output.",)),
)
"""A role and what marks a name as its own; the first that fits, as a shared expert's is an ffn_
too."""

ROLES: Final = (*(role for role, _ in _MARKS), "other")


def role(tensor_name: str) -> str:
    """One of `ROLES` for a tensor under llama.cpp's name."""
    return next(
        (role for role, marks in _MARKS if any(mark in tensor_name for mark in marks)), "other"
    )


def bytes_by_role(model: ModelSpec) -> dict[str, int]:
    """Bytes of the model's tensors by role, the largest first; their sum is all of them."""
    totals: dict[str, int] = {}
    for name, tensor in model.tensors.items():
        totals[role(name)] = totals.get(role(name), 0) + tensor.n_bytes
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def bytes_by_type(model: ModelSpec) -> dict[str, int]:
    """Bytes of the model's tensors by ggml type, the largest first."""
    totals: dict[str, int] = {}
    for tensor in model.tensors.values():
        totals[tensor.quant.name] = totals.get(tensor.quant.name, 0) + tensor.n_bytes
    return dict(sorted(totals.items(), key=lambda item: -item[1]))
