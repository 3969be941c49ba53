"""What each architecture's layers are made of: the one table to extend.

A row says only what the file cannot: which tensors exist (q/k norms, biases, sinks, shared experts,
a second norm, a router) and what the metadata holds decide the rest, in `compose`, `attention`,
`feed_forward` and `recurrent`. The defaults of `Architecture` are the general transformer: RMS
norms, RoPE everywhere, a gated feed-forward, softmax routing with renormed weights. Source of every
row: `src/models/*.cpp` of llama.cpp 0.5.0.
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a layer of one architecture is composed of, as far as tensors and metadata do not tell.

    `swa_period` is llama.cpp's default pattern: that many layers, all but one of them with a
    sliding window (the last, or the first with `swa_dense_first`); 0 for an architecture that has
    no window whatever the metadata say.
    """

    layer: Literal["sequential", "parallel", "single", "twin", "altup"] = "sequential"
    """How the parts of a layer are wired: a key of `compose.LAYERS`."""
    norm: Literal["rms", "layer"] = "rms"
    swa_period: int = 0
    swa_dense_first: bool = False
    swa_window: int = 0
    """The window where the metadata name none."""
    swa_fixed: bool = False
    """Whether `swa_window` holds whatever window the metadata name, unless they name 0 (llama4's
    chunks)."""
    swa_n_layer: int = 0
    """Only a model of this many layers has windows; 0 for no such rule."""
    shares_kv_from: int = 0
    """The first layer that reads another's KV cache, where the metadata have no `shared_kv_layers`;
    0 for none."""
    recurrent: Literal["none", "no_kv_heads", "no_kv_heads_no_ff", "interval", "all", "beside"] = (
        "none"
    )
    """Which layers keep a recurrent state instead of a KV cache: those without KV heads, those that
    also have no feed-forward width, all but every n-th, or all; `beside`: all, each with a KV cache
    too."""
    recurrent_part: Literal["mamba2", "delta_net", "short_conv"] = "mamba2"
    repeats_keys: bool = False
    """Whether the delta net repeats q and k to v's heads, and cuts its projections by group."""
    rope: Literal["all", "finetuned", "stepped", "windowed", "none"] = "all"
    """Which layers rotate q and k. `finetuned`: all or none, by `rope.scaling.finetuned`;
    `stepped`: all but every fourth; `windowed`: those with a sliding window, all where no layer has
    one."""
    rope_factors: Literal["all", "full", "none"] = "all"
    """Which layers take RoPE's frequency factors where the file has them: `full` are those without
    a window."""
    rope_sections: Literal["never", "always", "listed"] = "never"
    """Four positions a token (M-RoPE): always, or where the metadata list sections."""
    qk_norm: Literal["heads", "rows", "rotated"] = "heads"
    """Whether q and k are normed by head, as whole rows before they are cut into heads, or by head
    after RoPE."""
    norms_rotated_below: int = 0
    """Rotated q and k are normed without a weight in models of fewer experts than this."""
    norms_v: bool = False
    """Whether v is normed, without a weight."""
    temperature: Literal["none", "unrotated", "metadata"] = "none"
    """Which layers scale q by its position (attn_temp_scale): those without RoPE, or all where the
    metadata say so."""
    attention: Literal["standard", "gated"] = "standard"
    has_indexer: bool = False
    """Whether an indexer with a cache of its own chooses the cells that attention looks at."""
    scales_q: bool = False
    """A SCALE node on q (the attention itself then scales by 1)."""
    scales_embedding: bool = False
    """A SCALE node on the embedding by √n_embd; `embedding_scale` in the metadata is another."""
    softcaps_scores: bool = False
    """Whether attention scores are capped (attn_soft_cap), which takes nodes without flash
    attention only."""
    softcaps_logits: bool = False
    """Whether logits are capped unless the metadata set `final_logit_softcapping` to 0."""
    activation: Literal["gelu", "relu_sqr"] = "gelu"
    """The activation of a feed-forward without a gate."""
    weighs_inputs: bool = False
    """Whether the experts' weights multiply their inputs, and the router's logits alone choose them
    (llama4)."""
    expert_gating: Literal[
        "softmax", "sigmoid", "softmax_weight", "metadata", "metadata_or_sigmoid"
    ] = "softmax"
    expert_weights_norm: bool | None = True
    """Whether the chosen experts' weights are renormed; None: by `expert_weights_norm`."""
    shared_gate: Literal["sigmoid", "silu_div"] = "sigmoid"
    """How the shared expert's own gate is computed, where `ffn_gate_inp_shexp` exists."""
    mixing_first: bool = True
    """Operand order of the addition after attention: its result before the residual."""
    feed_forward_first: bool = True
    """Operand order of the layer's last addition."""
    parallel_sum: Literal[
        "residual_then_attention", "attention_then_residual", "onto_attention"
    ] = "residual_then_attention"
    """How a parallel layer adds up: onto the feed-forward, in this order, or the feed-forward onto
    attention first."""
    output_norm: str = "output_norm"
    """The last norm's tensor."""
    expands_norm: bool = False
    """Whether the first norm joins the graph before attention is built."""
    outputs_at: Literal["last_layer", "before_norm", "after_norm"] = "last_layer"
    """Where the rows that need logits are picked."""


GENERAL: Final = Architecture()
"""The general transformer rule: what an architecture that is not in the table is taken for."""

_QWEN35: Final = Architecture(
    recurrent="interval",
    recurrent_part="delta_net",
    attention="gated",
    rope_sections="always",
    expands_norm=True,
    outputs_at="after_norm",
)
_NEMOTRON_H: Final = Architecture(
    layer="single",
    recurrent="no_kv_heads_no_ff",
    rope="none",
    activation="relu_sqr",
    expert_gating="sigmoid",
    expert_weights_norm=None,
    outputs_at="after_norm",
)
_LFM2: Final = Architecture(
    recurrent="no_kv_heads",
    recurrent_part="short_conv",
    expert_gating="metadata",
    mixing_first=False,
    feed_forward_first=False,
    output_norm="token_embd_norm",
)

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
        swa_period=2,
        expert_gating="softmax_weight",
        expert_weights_norm=False,
        outputs_at="before_norm",
    ),
    "deepseek2": Architecture(expert_gating="metadata", expert_weights_norm=None),
    "glm4moe": Architecture(
        expert_gating="metadata_or_sigmoid", expert_weights_norm=None, rope_sections="listed"
    ),
    "granitehybrid": Architecture(recurrent="no_kv_heads", rope="finetuned"),
    "qwen3next": Architecture(
        recurrent="interval",
        recurrent_part="delta_net",
        repeats_keys=True,
        attention="gated",
        expands_norm=True,
        outputs_at="after_norm",
    ),
    "qwen35": _QWEN35,
    "qwen35moe": _QWEN35,
    "qwen2vl": Architecture(rope_sections="always"),
    "qwen3vl": Architecture(rope_sections="always"),
    "qwen3vlmoe": Architecture(rope_sections="always"),
    "gemma2": Architecture(
        swa_period=2,
        swa_window=4096,
        scales_q=True,
        scales_embedding=True,
        softcaps_scores=True,
        softcaps_logits=True,
    ),
    "gemma3n": Architecture(
        layer="altup",
        swa_period=5,
        shares_kv_from=20,
        norms_v=True,
        scales_embedding=True,
        softcaps_logits=True,
    ),
    "gemma4": Architecture(
        swa_period=6,
        norms_v=True,
        rope_factors="full",
        scales_embedding=True,
        softcaps_logits=True,
        outputs_at="after_norm",
    ),
    "glm4": Architecture(rope_sections="listed"),
    "mistral3": Architecture(temperature="metadata"),
    "llama4": Architecture(
        swa_period=4,
        swa_window=8192,
        swa_fixed=True,
        rope="stepped",
        norms_rotated_below=128,
        temperature="unrotated",
        expert_gating="sigmoid",
        expert_weights_norm=False,
        weighs_inputs=True,
    ),
    "seed_oss": GENERAL,
    "smollm3": Architecture(rope="stepped"),
    "minimax-m2": Architecture(qk_norm="rows", expert_gating="metadata"),
    "hunyuan-moe": Architecture(qk_norm="rotated"),
    "nemotron_h": _NEMOTRON_H,
    "nemotron_h_moe": _NEMOTRON_H,
    "exaone4": Architecture(swa_period=4, swa_window=4096, swa_n_layer=64, rope="windowed"),
    "cohere2": Architecture(layer="parallel", norm="layer", swa_period=4, rope="windowed"),
    "command-r": Architecture(layer="parallel", norm="layer"),
    "starcoder2": Architecture(norm="layer"),
    "stablelm": Architecture(norm="layer"),
    "falcon": Architecture(layer="parallel", norm="layer", parallel_sum="attention_then_residual"),
    "phi2": Architecture(
        layer="parallel", norm="layer", scales_q=True, parallel_sum="onto_attention"
    ),
    "lfm2": _LFM2,
    "lfm2moe": _LFM2,
    "bailingmoe2": Architecture(expert_gating="metadata", expert_weights_norm=None),
    "dots1": Architecture(expert_gating="metadata", expert_weights_norm=None),
    "deepseek": Architecture(expert_weights_norm=False),
    "deepseek32": Architecture(
        expert_gating="metadata", expert_weights_norm=None, has_indexer=True
    ),
    "arcee": Architecture(activation="relu_sqr"),
    "granite": Architecture(rope="finetuned"),
    "granitemoe": Architecture(rope="finetuned"),
    "internlm2": GENERAL,
    "mamba2": Architecture(layer="single", recurrent="all"),
    "falcon-h1": Architecture(layer="twin", recurrent="beside", rope_factors="none"),
}


def architecture(name: str) -> Architecture:
    """The composition of llama.cpp's architecture `name`; the general transformer where the table
    lacks it."""
    return ARCHITECTURES.get(name, GENERAL)
