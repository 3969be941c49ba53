"""What each architecture's layers are made of: the one table to extend.

A row says only what the file cannot: which tensors exist (q/k norms, biases, sinks, shared experts, a second norm,
a router) and what the metadata holds decide the rest, in `compose`, `attention`, `feed_forward` and `recurrent`.
The defaults of `Architecture` are the general transformer: RMS norms, RoPE everywhere, a gated feed-forward, softmax
routing with renormed weights. Source of every row: `src/models/*.cpp` of llama.cpp 0.5.0.
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a layer of one architecture is composed of, as far as tensors and metadata do not tell.

    `swa_period` is llama.cpp's default pattern: that many layers, all but one of them with a sliding window (the last,
    or the first with `swa_dense_first`); 0 for an architecture that has no window whatever the metadata say.
    """

    layer: Literal["sequential"] = "sequential"
    """How the parts of a layer are wired: a key of `compose.LAYERS`."""
    norm: Literal["rms", "layer"] = "rms"
    swa_period: int = 0
    swa_dense_first: bool = False
    recurrent: Literal["none", "no_kv_heads", "interval"] = "none"
    """Which layers keep a recurrent state instead of a KV cache: those without KV heads, or all but every n-th."""
    recurrent_part: Literal["mamba2", "delta_net"] = "mamba2"
    rope: Literal["all", "finetuned"] = "all"
    """Which layers rotate q and k; `finetuned`: all or none, by `rope.scaling.finetuned`."""
    rope_sections: bool = False
    """Four positions a token (M-RoPE)."""
    qk_norm: Literal["heads", "rows"] = "heads"
    """Whether q and k are normed by head, or as whole rows before they are cut into heads."""
    attention: Literal["standard", "gated"] = "standard"
    scales_q: bool = False
    """A SCALE node on q (the attention itself then scales by 1)."""
    scales_embedding: bool = False
    """A SCALE node on the embedding by √n_embd; `embedding_scale` in the metadata is another."""
    expert_gating: Literal["softmax", "sigmoid", "softmax_weight", "metadata", "metadata_or_sigmoid"] = "softmax"
    expert_weights_norm: bool | None = True
    """Whether the chosen experts' weights are renormed; None: by `expert_weights_norm`."""
    shared_gate: Literal["sigmoid", "silu_div"] = "sigmoid"
    """How the shared expert's own gate is computed, where `ffn_gate_inp_shexp` exists."""
    feed_forward_first: bool = True
    """Operand order of the layer's last addition."""
    expands_norm: bool = False
    """Whether the first norm joins the graph before attention is built."""
    outputs_at: Literal["last_layer", "before_norm", "after_norm"] = "last_layer"
    """Where the rows that need logits are picked."""


GENERAL: Final = Architecture()
"""The general transformer rule: what an architecture that is not in the table is taken for."""

ARCHITECTURES: Final[dict[str, Architecture]] = {
    "llama": GENERAL,
    "qwen2": GENERAL,
    "qwen3": GENERAL,
    "qwen3moe": GENERAL,
    "ernie4_5-moe": GENERAL,
    "ernie4_5": GENERAL,
    "phi3": Architecture(scales_q=True, feed_forward_first=False),
    "qwen2moe": Architecture(expert_weights_norm=False, shared_gate="silu_div"),
    "olmoe": Architecture(qk_norm="rows", expert_weights_norm=False),
    "gemma3": Architecture(swa_period=6, scales_q=True, scales_embedding=True),
    "gpt-oss": Architecture(
        swa_period=2, expert_gating="softmax_weight", expert_weights_norm=False, outputs_at="before_norm"
    ),
    "deepseek2": Architecture(expert_gating="metadata", expert_weights_norm=None),
    "glm4moe": Architecture(expert_gating="metadata_or_sigmoid", expert_weights_norm=None),
    "granitehybrid": Architecture(recurrent="no_kv_heads", rope="finetuned"),
    "qwen3next": Architecture(
        recurrent="interval", recurrent_part="delta_net", attention="gated", expands_norm=True,
        outputs_at="after_norm",
    ),
}  # fmt: skip


def architecture(name: str) -> Architecture:
    """The composition of llama.cpp's architecture `name`; the general transformer where the table lacks it."""
    return ARCHITECTURES.get(name, GENERAL)
