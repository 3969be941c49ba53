"""A model's small likeness: the same architecture and widths, few layers, experts and tokens.

For protocols in seconds: what it takes and how fast it is says nothing of the model itself, but every kernel, cache
and buffer is of the same kind.
"""

from dataclasses import dataclass, replace
from typing import Final

from oomph.errors import ConfigError
from oomph.facts.gguf import TensorInfo, Value
from oomph.facts.modelspec import ModelSpec

_BLOCK: Final = "blk."


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How many layers, routed experts and tokens of the vocabulary remain."""

    n_layer: int
    n_expert: int
    n_vocab: int


def shrunk(spec: ModelSpec, likeness: Likeness) -> ModelSpec:
    """The first layers of `spec` with the first experts and tokens; never more of any than it has.

    ConfigError where it has more active experts than would remain.
    """
    n_layer, n_vocab = min(likeness.n_layer, spec.n_layer), min(likeness.n_vocab, spec.n_vocab)
    n_expert = min(likeness.n_expert, spec.n_expert)
    if spec.n_expert_used > n_expert:
        raise ConfigError(f"{spec.name} has {spec.n_expert_used} active experts, and its likeness {n_expert} in all")
    tensors = {
        name: replace(tensor, ne=_cut(tensor, spec, n_expert, n_vocab), offset=0)
        for name, tensor in spec.tensors.items()
        if not name.startswith(_BLOCK) or int(name.split(".")[1]) < n_layer
    }
    metadata = {key: _first(value, spec.n_layer, n_layer) for key, value in spec.metadata.items()}
    metadata |= {f"{spec.arch}.block_count": n_layer, f"{spec.arch}.vocab_size": n_vocab}
    if spec.is_moe:
        metadata[f"{spec.arch}.expert_count"] = n_expert
    name = f"{spec.name}-likeness"
    metadata["general.name"] = name
    return replace(spec, name=name, tensors=tensors, metadata=metadata, file_bytes=None)


def _cut(tensor: TensorInfo, spec: ModelSpec, n_expert: int, n_vocab: int) -> tuple[int, ...]:
    """The tensor's shape with fewer experts (its last dimension) and tokens."""
    ne = tensor.ne
    if tensor.name.startswith(_BLOCK):
        per_expert = "_exps" in tensor.name or "ffn_gate_inp" in tensor.name or "exp_probs" in tensor.name
        return (*ne[:-1], n_expert) if per_expert and spec.is_moe and ne[-1] == spec.n_expert else ne
    return (*ne[:-1], n_vocab) if len(ne) == 2 and ne[-1] == spec.n_vocab else ne


def _first(value: Value, n_layer: int, kept: int) -> Value:
    """A list of one item a layer, cut with the layers."""
    return value[:kept] if isinstance(value, tuple) and len(value) == n_layer else value
