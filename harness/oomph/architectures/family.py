"""The type of a family of models: all that llama.cpp's sources say and a GGUF file does not.

A family is declared once, in `oomph.architectures.families`, by data: the tensors of its blocks,
the rules of its graph, its windows, recurrence and positions, and its words in a Hugging Face
config. Defaults are the general transformer: RMS norms, RoPE everywhere, a gated feed-forward,
softmax routing with renormed weights. Source of every declaration: `src/models/*.cpp`,
`src/llama-model.cpp` and `conversion/*.py` of llama.cpp 0.5.0.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, Literal

from oomph.architectures import tensor_parts as parts
from oomph.architectures.hf_keys import Config, Translation
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Part, Tensor
from oomph.frozen import frozen


@frozen
class Tensors:
    """The parts of a family's blocks.

    `every` is in each block. A block has `attention`, or `recurrent` where the family's recurrence
    says so (both where they stand side by side), and an `indexer` where it chooses by itself the
    cells it looks at; it has `experts` where it routes its tokens, `dense` elsewhere. A family
    whose graph has a single part a layer has one of the four.
    `next_token` is added to the blocks past the last one that decodes (multi-token prediction).
    `outside` is in no block, nor are the `heads` of rerankers and embeddings, which most lack.
    """

    every: tuple[Part, ...] = (parts.norm("attn_norm", "ffn_norm"),)
    attention: tuple[Part, ...] = (parts.query_key_value,)
    indexer: tuple[Part, ...] = ()
    recurrent: tuple[Part, ...] = ()
    dense: tuple[Part, ...] = (parts.gated,)
    experts: tuple[Part, ...] = (parts.experts,)
    next_token: tuple[Part, ...] = (parts.next_token_projection, parts.next_token_tables)
    feeds_heads_densely: bool = False
    """Whether the blocks for multi-token prediction have no experts."""
    outside: tuple[Callable[[ModelSpec], Iterator[Tensor]], ...] = ()
    heads: Mapping[str, Callable[[ModelSpec], Iterator[Tensor]]] = field(
        default_factory=lambda: {"score": parts.score}
    )


@frozen
class Windows:
    """Which layers have a sliding window, where the metadata list none: all but one of every
    `period` (llama_hparams::set_swa_pattern); with 0 none has one, whatever the metadata say."""

    period: int = 0
    dense_first: bool = False
    """Whether the layer without a window is the first of a period; else it is the last."""
    n_tokens: int = 0
    """The window where the metadata name none."""
    is_fixed: bool = False
    """Whether `n_tokens` holds whatever window the metadata name, unless they name 0 (llama4's
    chunks)."""
    n_layer: int = 0
    """Only a model of this many layers has windows; 0 for no such rule."""
    is_optional: bool = False
    """Whether a model whose metadata name no window has none."""


@frozen
class Recurrence:
    """Which layers keep a recurrent state instead of a KV cache, and which part computes it."""

    layers: Literal["none", "no_kv_heads", "no_kv_heads_no_ff", "interval", "all", "beside"] = (
        "none"
    )
    """None, those without KV heads, those that also have no feed-forward width, all but every n-th,
    or all; `beside`: all, each with a KV cache too."""
    interval: int = 4
    """The n of every n-th, where the metadata do not say."""
    part: Literal[
        "none",
        "mamba",
        "mamba2",
        "mamba_by_head",
        "delta_net",
        "short_conv",
        "kda",
        "lightning",
        "time_mix",
    ] = "none"
    """A key of `oomph.estimate.graph.compose.RECURRENT`; `time_mix` is in a layer of its own."""
    gate: Literal["softplus", "bounded", "metadata_negated"] = "softplus"
    """How KDA's gate is computed: bounded below, by `kda.gate_lower_bound` where the metadata have
    it, or not."""
    reserves_one: bool = False
    """Whether llama.cpp also reserves the graph of a prompt that is one sequence's
    (TAG_RESERVE_DIAG_DECAY)."""
    output_gate: Literal["SILU", "SIGMOID"] = "SILU"
    """What the delta net's output gate goes through."""
    copies_states: bool = False
    """Whether the convolution's columns are made contiguous before they go back to the state."""
    rolls_back: bool = False
    """Whether llama.cpp keeps states of the last tokens to go back to
    (llm_arch_supports_rs_rollback)."""


@frozen
class Rope:
    """How q and k are rotated by their positions."""

    layers: Literal[
        "all",
        "finetuned",
        "listed",
        "stepped",
        "stepped_first",
        "windowed",
        "windowed_or_leading",
        "learned",
        "none",
    ] = "all"
    """Which layers rotate them. `finetuned`: all or none, by `rope.scaling.finetuned`; `listed`:
    those of `attention.rope_pattern`, all without it; `stepped`: all but every fourth, which is the
    last of each four, with `stepped_first` the first; `windowed`: those with a sliding window, all
    where no layer has one; `windowed_or_leading`: the leading dense ones too; `learned`: none, for
    positions are a table (BERT); `none`: positions have no bound, for there is no table of them
    either (llama_model_rope_type)."""
    factors: Literal["all", "full", "none"] = "all"
    """Which layers take RoPE's frequency factors where the file has them: `full` are those without
    a window."""
    sections: Literal["never", "always", "listed", "any"] = "never"
    """Four positions a token (M-RoPE): always, or where the metadata list sections, two of them or
    `any`."""
    n_layer: int = 0
    """Only a model of this many layers rotates them; 0 for no such rule."""
    is_whole: bool = False
    """Whether llama.cpp refuses a file whose `rope.dimension_count` is not a head's whole width."""


@frozen
class PublishedYarn:
    """What a family's makers say of YaRN: for files with this `context_length`, from this width
    on."""

    context_length: int
    original: int
    factor: float
    source: str
    min_embedding: int = 0


@frozen
class GraphRules:
    """What a layer of a graph is composed of, as far as tensors and metadata do not tell."""

    layer: Literal[
        "sequential",
        "parallel",
        "parallel_if_told",
        "single",
        "twin",
        "altup",
        "normed_after",
        "beside_experts",
        "normed_after_if_told",
        "partial",
        "stacks",
        "hyper",
        "hyper_gated",
        "independent_hyper",
        "banked",
        "rwkv",
        "crossed",
        "switched",
        "normed_residual",
    ] = "sequential"
    """How the parts of a layer are wired: a key of `oomph.estimate.graph.compose.LAYERS`."""
    norm: Literal["rms", "layer", "metadata"] = "rms"
    """The kind of all norms; `metadata`: by which epsilon they have."""
    has_norm_weights: bool = True
    """Whether the norms of the residual stream have weights; else it is normed all the same."""
    table_first: bool = True
    """Operand order of the addition of a table of positions: before the embedding."""
    shares_kv_from: int = 0
    """The first layer that reads another's KV cache, where the metadata have no `shared_kv_layers`;
    0 for none."""
    qk_norm: Literal["heads", "rows", "rotated"] = "heads"
    """Whether q and k are normed by head, as whole rows before they are cut into heads, or by head
    after RoPE."""
    head_norm: Literal["same", "layer"] = "same"
    """The kind of the norms within a head, where it is not that of all others."""
    norms_rotated_below: int = 0
    """Rotated q and k are normed without a weight in models of fewer experts than this."""
    norms_v: bool = False
    """Whether v is normed, without a weight."""
    norms_shared_v: bool = False
    """The same where the file has no projection of v, which is k's."""
    temperature: Literal["none", "unrotated", "metadata"] = "none"
    """Which layers scale q by its position (attn_temp_scale): those without RoPE, or all where the
    metadata say so."""
    attention: Literal["standard", "gated", "compressed", "pooled", "blocks", "position_blocks"] = (
        "standard"
    )
    gate_activation: Literal["sigmoid", "softplus"] = "sigmoid"
    """How the gate on attention's output is computed, where `attn_gate` exists."""
    copies_gated: bool = False
    """Whether latent attention's result behind such a gate is made contiguous."""
    repeats_keys: bool = False
    """Whether the delta net repeats q and k to v's heads, and projections are cut by group."""
    holds_streams: bool = False
    """Whether hyper-connected streams are in the graph before the feed-forward, and a layer's last
    operator is kept on its device."""
    nodes_per_token: int = 0
    """Nodes that a graph has room for with each token (graph_max_nodes); 0 for the usual room."""
    indexers: Literal["none", "each", "listed", "listed_or_spaced", "overlapping", "past_dense"] = (
        "none"
    )
    """Which attending layers have an indexer, with a cache of its own, that chooses the cells they
    look at: all, those past the leading dense ones, or those that `attention.indexer.types` lists,
    and then the others look at what the last before them chose. Where nothing is listed all have
    one, or in files of long contexts the first and then every fourth (GLM-5.2). `overlapping`:
    those that compress by 4."""
    turns_index: bool = True
    """Whether a lightning indexer's q and k are turned by a Hadamard matrix."""
    fuses_attention: Literal["as_told", "never", "aborts"] = "as_told"
    """Whether flash attention can be on: llama.cpp turns it off for Grok, and its graph of PLM
    aborts."""
    clamps_projections: bool = False
    """Whether q, k and v are cut to `attention.clamp_kqv` where the metadata have it."""
    scales_q: bool = False
    """A SCALE node on q (the attention itself then scales by 1)."""
    inputs: Literal["mixed", "apart", "tokens"] = "mixed"
    """Whether a batch may have tokens and embeddings together in newer llama.cpps
    (llm_arch_supports_mixed_batch), has one or the other, or has tokens alone."""
    scales_embedding: bool = False
    """A SCALE node on the embedding by √n_embd; `embedding_scale` in the metadata is another."""
    scales_tokens_alone: bool = False
    """Whether that is of the tokens' rows alone, and newer llama.cpps have it as an input."""
    fuses_clamp: bool = False
    """Whether a gated activation that the metadata clamp is one node, as one that is not."""
    scaled: tuple[Literal["embedding_scale", "residual_scale", "logit_scale"], ...] = ()
    """Which of these scale although the metadata do not say so."""
    loops: bool = False
    """Whether the blocks may be run several times over (`num_loops`), each time as layers with
    caches of their own, and normed between unless the metadata say `skip_loop_final_norm`."""
    adds_embedding: bool = False
    """Whether the embedding is normed, and added to each layer's output by a weight of its own."""
    hides_images: bool = False
    """Whether the logits of images' tokens are overwritten."""
    norms_embedding: bool = False
    """Whether the embedding is normed, without a weight."""
    scales_head_input: bool = False
    """A SCALE node before the output head; `logit_scale` in the metadata is one after it."""
    softcaps_scores: bool = False
    """Whether attention scores are capped (attn_soft_cap), which takes nodes without flash
    attention only."""
    softcaps_logits: bool = False
    """Whether logits are capped unless the metadata set `final_logit_softcapping` to 0."""
    score_activation: Literal["tanh", "gelu"] = "tanh"
    """The activation in a classifier's head."""
    scores_mean: bool = False
    """Whether a classifier looks at the mean of all tokens where the metadata do not say."""
    weighs_scores: bool = False
    """Whether scores are made shares of one (softmax)."""
    activation: Literal["gelu", "relu", "relu_sqr", "xielu"] = "gelu"
    """The activation of a feed-forward without a gate."""
    gated_activation: Literal["fused", "situ"] = "fused"
    """The activation of a feed-forward with a gate: one operator, or bounded parts."""
    weighs_inputs: bool = False
    """Whether the experts' weights multiply their inputs, and the router's logits alone choose them
    (llama4)."""
    routes_input: bool = False
    """Whether the router sees the layer's input, before any norm."""
    chooses_by_sigmoid: bool = False
    """Whether the experts are chosen by the sigmoid of the router's logits, whatever their weights
    are."""
    expert_gating: Literal[
        "softmax", "sigmoid", "softmax_weight", "metadata", "metadata_or_sigmoid"
    ] = "softmax"
    expert_weights_norm: bool | None = True
    """Whether the chosen experts' weights are renormed; None: by `expert_weights_norm`."""
    exact_down: bool = False
    """Whether the input of the experts' down projection must stay F32, for which ggml-cuda has no
    kernel."""
    shared_gate: Literal["sigmoid", "silu_div"] = "sigmoid"
    """How the shared expert's own gate is computed, where `ffn_gate_inp_shexp` exists."""
    averages_shared: bool = False
    """A SCALE node on the sum of routed and shared experts."""
    norms_before_picking: bool = False
    """Whether attention's result is normed before the output rows are picked of it."""
    pinned_post_norms: Literal["attention", "both", "none"] = "attention"
    """Which of the norms after attention and after the feed-forward are named norms of their layer,
    which llama.cpp pins to its device."""
    mixing_first: bool = True
    """Operand order of the addition after attention: its result before the residual."""
    feed_forward_first: bool = True
    """Operand order of the layer's last addition."""
    parallel_sum: Literal[
        "residual_then_attention", "attention_then_residual", "onto_attention"
    ] = "residual_then_attention"
    """How a parallel layer adds up: onto the feed-forward, in this order, or the feed-forward onto
    attention first."""
    expands_norm: bool = False
    """Whether the first norm joins the graph before attention is built."""
    outputs_at: Literal["last_layer", "before_norm", "after_norm", "nowhere"] = "last_layer"
    """Where the rows that need logits are picked; `nowhere`: all tokens have logits."""
    head_outputs_at: Literal["none", "last_layer", "before_norm", "after_norm"] = "none"
    """The same in the graph of the multi-token-prediction head; `none`: there is no such graph."""
    head_layer: Literal["same", "cropped_between"] = "same"
    """How a layer of that graph is wired, where it is not as the trunk's."""
    head_last_norm: Literal["same", "layer"] = "same"
    """The kind of that graph's last norm."""
    drafter: Literal["none", "eagle3", "dflash", "assistant"] = "none"
    """Whether the whole graph is one of a drafter, which runs beside a target alone: a key of
    `oomph.estimate.graph.drafters.DRAFTERS`."""


@frozen
class HuggingFace:
    """How a config.json of the family reads.

    `model_types` are the values of `model_type` (of its `text_config`, where it has one) that mean
    it, `translate` what it says beyond the keys that all have, `defaults` what transformers assumes
    where it is silent. `applies` tells the configs of this family from another's of those types.
    """

    model_types: tuple[str, ...]
    applies: Callable[[Config], bool] = lambda config: True
    translate: Translation | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Family:
    """One architecture of llama.cpp, whose name for it (`general.architecture`) is `name`.

    `tensors` None: a model of it needs a file. `has_known_graph` False: compute buffers follow the
    general transformer. `hugging_face` None: no config.json is read as this family.
    """

    name: str
    tensors: Tensors | None = None
    graph: GraphRules = GraphRules()
    has_known_graph: bool = True
    windows: Windows = Windows()
    recurrence: Recurrence = Recurrence()
    rope: Rope = Rope()
    yarn: tuple[PublishedYarn, ...] = ()
    blocks: str = "blk"
    """What the names of its layers' tensors begin with: `dec.blk` where there is an encoder too."""
    output_norm: str = "output_norm"
    """The tensor of the last norm; empty where there is none."""
    shares_streams: bool = True
    """Whether sequences can share one stream of cells (kv_unified)."""
    caches_idle: bool = False
    """Whether llama.cpp also keeps a cache for blocks that never run: those for multi-token
    prediction (seen of models whose K and V are one vector), or of an encoder that has more."""
    has_cache: bool = True
    """Whether llama.cpp keeps K and V of the tokens before: an encoder sees a whole input at once
    and keeps nothing (llama_model::create_memory)."""
    reads_cache: bool = True
    """Whether attention reads a cache that is there; else it sees the tokens of the batch alone."""
    head: Literal["logits", "embedding", "of_text", "idle", "lent", "none"] = "logits"
    """What becomes of the output head: it makes logits (with `embedding` the table of tokens does,
    where it lies), none where embeddings are asked for (`of_text`), is loaded and never run, is
    another model's where the file has none (`lent`), or there is none."""
    loaded_of_heads: tuple[str, ...] = ()
    """What the names begin with of tensors for multi-token prediction that llama.cpp loads whether
    it predicts so or not; an empty one is of all, and of an encoder's past its decoder's too."""
    required: tuple[str, ...] = ()
    """Keys without which llama.cpp refuses a file, besides those that all need."""
    hugging_face: HuggingFace | None = None

    @property
    def is_crossed(self) -> bool:
        """Whether it is a decoder beside an encoder, whose output it looks at."""
        return self.blocks == "dec.blk"

    @property
    def has_encoder(self) -> bool:
        """Whether its tokens go through an encoder, alone or beside a decoder, which gives all that
        it is given: the results are not limited (n_outputs_max)."""
        return self.blocks != "blk"

    @property
    def is_encoder(self) -> bool:
        """Whether it makes embeddings and no text."""
        return not (self.has_cache and self.reads_cache)
