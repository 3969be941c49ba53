"""What may stand at each key of a model's metadata, in a GGUF file or by a config.json."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Final, Literal

from oomph.architectures.spec import MAX_COUNT
from oomph.frozen import frozen

MAX_BLOCKS: Final = 512
"""Blocks that llama.cpp has room for (LLAMA_MAX_LAYERS)."""
MAX_EXPERTS: Final = 1024
"""Experts of a layer that it has room for (LLAMA_MAX_EXPERTS)."""
MAX_WIDTH: Final = 1 << 24
"""A width that no model comes near."""


@frozen
class Rule:
    """What may stand at a key: a `count` (a whole number), a `number`, a `flag` or a `word` of
    `words`, from `least` to `most`.

    `by_layer`: it may also be an array with an item per block. `is_general`: llama.cpp reads it for
    every architecture, so that another type ends its loading even where the family is not known.
    """

    kind: Literal["count", "number", "flag", "word"] = "count"
    least: float = 0
    most: float = MAX_COUNT
    by_layer: bool = False
    is_general: bool = False
    words: tuple[str, ...] = ()


def _width(least: int = 0, *, by_layer: bool = False, is_general: bool = False) -> Rule:
    return Rule(least=least, most=MAX_WIDTH, by_layer=by_layer, is_general=is_general)


_FACTOR: Final = Rule(kind="number", least=-1e30, most=1e30)

RULES: Final[Mapping[str, Rule]] = {
    "block_count": Rule(least=1, most=MAX_BLOCKS, is_general=True),
    "context_length": Rule(least=1, is_general=True),
    "embedding_length": _width(1, is_general=True),
    "feed_forward_length": _width(by_layer=True, is_general=True),
    "nextn_predict_layers": Rule(most=MAX_BLOCKS, is_general=True),
    "vocab_size": Rule(least=1, most=1 << 31),
    "attention.head_count": _width(by_layer=True, is_general=True),
    "attention.head_count_kv": _width(by_layer=True, is_general=True),
    "attention.key_length": _width(1),
    "attention.value_length": _width(1),
    "attention.key_length_swa": _width(1),
    "attention.value_length_swa": _width(1),
    "attention.key_length_mla": _width(),
    "attention.value_length_mla": _width(),
    "attention.kv_lora_rank": _width(),
    "attention.q_lora_rank": _width(),
    "attention.indexer.head_count": _width(),
    "attention.indexer.key_length": _width(),
    "attention.indexer.top_k": Rule(),
    "attention.sliding_window": Rule(),
    "attention.shared_kv_layers": Rule(most=MAX_BLOCKS),
    "attention.temperature_scale": _FACTOR,
    "attention.causal": Rule(kind="flag", is_general=True),
    "attention.layer_norm_rms_epsilon": Rule(kind="number", least=-inf, most=inf),
    "attention.layer_norm_epsilon": Rule(kind="number", least=-inf, most=inf),
    "pooling_type": Rule(is_general=True),
    "classifier.pooling_type": Rule(is_general=True),
    "embedding_length_out": _width(is_general=True),
    "dense_2_feat_out": _width(),
    "dense_3_feat_in": _width(),
    "moe_every_n_layers": Rule(),
    "expert_count": Rule(most=MAX_EXPERTS, is_general=True),
    "expert_used_count": Rule(most=MAX_EXPERTS, by_layer=True, is_general=True),
    "expert_group_count": Rule(most=MAX_EXPERTS, is_general=True),
    "expert_group_used_count": Rule(most=MAX_EXPERTS, is_general=True),
    "expert_feed_forward_length": _width(by_layer=True),
    "expert_shared_feed_forward_length": _width(),
    "expert_shared_count": Rule(most=MAX_EXPERTS),
    "expert_gating_func": Rule(most=255),
    "expert_weights_scale": _FACTOR,
    "leading_dense_block_count": Rule(),
    "interleave_moe_layer_step": Rule(),
    "full_attention_interval": Rule(),
    "n_deepstack_layers": Rule(most=MAX_BLOCKS),
    "embedding_length_per_layer_input": _width(),
    "moe_latent_size": _width(),
    "embedding_scale": _FACTOR,
    "residual_scale": _FACTOR,
    "logit_scale": _FACTOR,
    "final_logit_softcapping": _FACTOR,
    "rope.dimension_count": _width(),
    "rope.freq_base": Rule(kind="number", least=1e-30, most=1e30, is_general=True),
    "rope.scaling.type": Rule(
        kind="word", words=("none", "linear", "yarn", "longrope"), is_general=True
    ),
    "rope.scaling.factor": Rule(kind="number", least=-inf, most=inf, is_general=True),
    "rope.scale_linear": Rule(kind="number", least=-inf, most=inf),
    "rope.scaling.original_context_length": Rule(is_general=True),
    "rope.scaling.attn_factor": replace(_FACTOR, is_general=True),
    "rope.scaling.finetuned": Rule(kind="flag", is_general=True),
    "hrm.layers_per_stack": Rule(least=1, most=MAX_BLOCKS),
    "hrm.h_cycles": Rule(least=1, most=MAX_BLOCKS),
    "hrm.l_cycles": Rule(least=1, most=MAX_BLOCKS),
    "num_loops": Rule(least=1, most=MAX_BLOCKS),
    "skip_loop_final_norm": Rule(kind="flag"),
    "use_parallel_residual": Rule(kind="flag"),
    "swin_norm": Rule(kind="flag"),
    "attention.clamp_kqv": _FACTOR,
    "shortconv.l_cache": _width(1),
    "kda.head_dim": _width(1),
    "ssm.conv_kernel": _width(1),
    "ssm.inner_size": _width(1),
    "ssm.state_size": _width(1),
    "ssm.time_step_rank": _width(1),
    "ssm.group_count": _width(),
    "ssm.dt_b_c_rms": Rule(kind="flag"),
    "wkv.head_size": _width(1),
    "token_shift_count": Rule(least=1, most=2),
    "rescale_every_n_layers": Rule(),
    "time_mix_extra_dim": _width(),
    "time_decay_extra_dim": _width(),
    "attention.decay_lora_rank": _width(),
    "attention.iclr_lora_rank": _width(),
    "attention.value_residual_mix_lora_rank": _width(),
    "attention.gate_lora_rank": _width(),
    "attention.kv_lora_rank_swa": _width(),
    "attention.output_group_count": _width(1),
    "attention.output_lora_rank": _width(),
    "attention.value_scale": _FACTOR,
    "attention.indexer.block_size": _width(1),
    "attention.indexer.kpool": _width(),
    "attention.indexer.kpool_select_tail": Rule(kind="flag"),
    "attn_res.block_size": _width(),
    "activation.situ_linear_beta": _FACTOR,
    "adapters.count": Rule(least=1, most=MAX_EXPERTS),
    "adapters.lora_rank": _width(1),
    "hyper_connection.count": Rule(least=1, most=MAX_BLOCKS),
    "hyper_connection.low_rank": _width(1),
    "hyper_connection.sinkhorn_iterations": Rule(most=MAX_BLOCKS),
    "hash_layer_count": Rule(),
    "expert_weights_norm": Rule(kind="flag"),
    "expert_latent_length": _width(),
    "expert_chunk_feed_forward_length": _width(),
    "experts_per_group": Rule(least=1, most=MAX_EXPERTS),
    "ple.conv_kernel": _width(1),
    "ple.heads_per_ngram": Rule(least=1, most=MAX_EXPERTS),
    "ple.ngram_size": Rule(least=2, most=MAX_EXPERTS),
    "decoder_block_count": Rule(most=MAX_BLOCKS),
    "block_size": _width(1),
    "conv_kernel_size": _width(1),
    "conv_group_size": _width(1),
    "selector_rank": _width(),
    "selector_top_k": _width(),
    "sample_from_anchor": Rule(kind="flag"),
    "target_hidden_size": _width(1),
}
"""Every number that an estimate may read of a file, by its key without the architecture."""
