"""config.json: the same model as the catalogue's, and what 4-bit checkpoints take."""

import json
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.hf_config import read_hf_config, spec_from_hf_config
from oomph.architectures.hf_formats import NOT_RUN_NOTE, PackedFormat
from oomph.errors import ModelFileError, OomphError, UnknownNameError

LLAMA_3_1_8B: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192,
    "rope_type": "llama3"},
    "rope_theta": 500000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}  # fmt: skip
QWEN3_30B_A3B: dict[str, Any] = {
    "model_type": "qwen3_moe", "head_dim": 128, "hidden_size": 2048, "intermediate_size": 6144,
    "max_position_embeddings": 40960, "moe_intermediate_size": 768, "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000.0, "sliding_window": None,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "vocab_size": 151936,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": LLAMA_3_1_8B,
    "qwen3-30b-a3b": QWEN3_30B_A3B,
    "apertus-8b": {
        "model_type": "apertus", "hidden_size": 4096, "intermediate_size": 21504,
        "max_position_embeddings": 65536, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 12000000,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "tie_word_embeddings": False,
        "vocab_size": 131072,
    },
    "laguna-xs-2.1": {
        "model_type": "laguna", "vocab_size": 100352, "hidden_size": 2048,
        "intermediate_size": 8192, "num_hidden_layers": 40, "num_attention_heads": 48,
        "num_attention_heads_per_layer": [64 if il % 4 else 48 for il in range(40)],
        "num_key_value_heads": 8, "head_dim": 128, "sliding_window": 512, "num_experts": 256,
        "num_experts_per_tok": 8, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "moe_routed_scaling_factor": 2.5,
        "max_position_embeddings": 262144, "rms_norm_eps": 1e-06, "tie_word_embeddings": False,
        "mlp_layer_types": ["dense", *["sparse"] * 39],
        "rope_parameters": {
            "full_attention": {"rope_theta": 500000.0, "partial_rotary_factor": 0.5},
            "sliding_attention": {"rope_theta": 10000.0},
        },
    },
    "trinity-nano": {
        "model_type": "afmoe", "head_dim": 128, "hidden_size": 1024, "intermediate_size": 3072,
        "max_position_embeddings": 131072, "moe_intermediate_size": 256, "num_attention_heads": 8,
        "num_dense_layers": 2, "num_experts": 128, "num_experts_per_tok": 8,
        "num_hidden_layers": 56, "num_key_value_heads": 2, "num_shared_experts": 1,
        "rms_norm_eps": 1e-05, "rope_theta": 10000, "route_norm": True, "route_scale": 2.826,
        "sliding_window": 2048, "vocab_size": 200192,
    },
    "k-exaone-236b-a23b": {
        "model_type": "exaone_moe", "first_last_k_dense_replace": 1, "head_dim": 128,
        "hidden_size": 6144, "intermediate_size": 18432, "max_position_embeddings": 262144,
        "moe_intermediate_size": 2048, "norm_topk_prob": True, "num_attention_heads": 64,
        "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
        "num_key_value_heads": 8, "num_nextn_predict_layers": 1, "num_shared_experts": 1,
        "rms_norm_eps": 1e-05, "rope_theta": 1000000, "routed_scaling_factor": 2.5,
        "sliding_window": 128, "vocab_size": 153600,
    },
    "mimo-v2.6-flash": {
        "model_type": "mimo_v2", "attention_value_scale": 0.707, "head_dim": 192,
        "hidden_size": 4096, "intermediate_size": 16384, "layernorm_epsilon": 1e-06,
        "hybrid_layer_pattern": [0, *(int(il % 6 != 5) for il in range(1, 48))],
        "max_position_embeddings": 1048576, "moe_intermediate_size": 2048,
        "moe_layer_freq": [0, *[1] * 47], "n_routed_experts": 256, "num_attention_heads": 64,
        "num_experts_per_tok": 8, "num_hidden_layers": 48, "num_key_value_heads": 4,
        "partial_rotary_factor": 0.334, "rope_theta": 10000000, "sliding_window": 128,
        "swa_num_key_value_heads": 8, "v_head_dim": 128, "vocab_size": 152576,
    },
    "hy3": {
        "model_type": "hy_v3", "first_k_dense_replace": 1, "head_dim": 128, "hidden_size": 4096,
        "intermediate_size": 13312, "max_position_embeddings": 262144,
        "moe_intermediate_size": 1536, "num_attention_heads": 64, "num_experts": 192,
        "num_experts_per_tok": 8, "num_hidden_layers": 80, "num_key_value_heads": 8,
        "num_nextn_predict_layers": 1, "num_shared_experts": 1, "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 11158840.0, "rope_type": "default"},
        "route_norm": True, "router_scaling_factor": 2.826, "vocab_size": 120832,
    },
    "muse-glimmer-30b": {
        "model_type": "muse_glimmer",
        "text_config": {
            "model_type": "muse_glimmer_text", "final_logit_softcapping": 20.0, "head_dim": 128,
            "hidden_size": 6656, "intermediate_size": 19968, "max_position_embeddings": 131072,
            "layer_types": [*["sliding_attention"] * 3, "full_attention"] * 13,
            "num_attention_heads": 32, "num_hidden_layers": 52, "num_key_value_heads": 2,
            "output_multiplier": 0.19611613513818404, "rms_norm_eps": 1e-05,
            "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
            "sliding_window": 2048, "vocab_size": 202048,
        },
    },
    "step-3.5-flash": {
        "model_type": "step3p5", "hidden_size": 4096, "intermediate_size": 11264, "head_dim": 128,
        "num_hidden_layers": 45, "num_attention_heads": 64, "num_attention_groups": 8,
        "attention_other_setting": {"num_attention_heads": 96, "num_attention_groups": 8},
        "layer_types": ["sliding_attention" if il % 4 else "full_attention" for il in range(48)],
        "moe_layers_enum": ",".join(str(il) for il in range(3, 45)), "moe_num_experts": 288,
        "moe_top_k": 8, "moe_intermediate_size": 1280, "share_expert_dim": 1280,
        "moe_router_scaling_factor": 3.0, "norm_expert_weight": True,
        "max_position_embeddings": 262144, "rms_norm_eps": 1e-05, "sliding_window": 512,
        "rope_theta": [5000000.0, 10000.0, 10000.0, 10000.0] * 12,
        "rope_scaling": {"rope_type": "llama3", "factor": 2.0},
        "swiglu_limits": [0.0] * 43 + [7.0, 7.0] + [0.0] * 3,
        "swiglu_limits_shared": [None] * 43 + [16.0, 16.0], "vocab_size": 128896,
    },
    "smallthinker-4b-a0.6b": {
        "model_type": "smallthinker", "head_dim": 128, "hidden_size": 1536,
        "max_position_embeddings": 32768, "moe_ffn_hidden_size": 768,
        "moe_num_active_primary_experts": 4, "moe_num_primary_experts": 32,
        "num_attention_heads": 12, "num_hidden_layers": 32, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 1500000.0, "sliding_window_layout": [0] * 32,
        "sliding_window_size": 4096, "tie_word_embeddings": True, "vocab_size": 151936,
    },
    "mixtral-8x7b": {
        "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
        "max_position_embeddings": 32768,
        "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "vocab_size": 32000,
    },
    "qwen1.5-moe-a2.7b": {
        "model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632,
        "max_position_embeddings": 8192,
        "moe_intermediate_size": 1408, "num_attention_heads": 16, "num_experts": 60,
        "num_experts_per_tok": 4,
        "num_hidden_layers": 24, "num_key_value_heads": 16, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "shared_expert_intermediate_size": 5632, "torch_dtype": "bfloat16", "vocab_size": 151936,
    },
    "qwen3-next-80b-a3b": {
        "model_type": "qwen3_next", "full_attention_interval": 4, "head_dim": 256,
        "hidden_size": 2048,
        "intermediate_size": 5120, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_value_head_dim": 128,
        "max_position_embeddings": 262144, "moe_intermediate_size": 512, "num_attention_heads": 16,
        "num_experts": 512, "num_experts_per_tok": 10, "num_hidden_layers": 48,
        "num_key_value_heads": 2,
        "partial_rotary_factor": 0.25, "rms_norm_eps": 1e-06, "rope_theta": 10000000,
        "shared_expert_intermediate_size": 512, "vocab_size": 151936,
    },
    "qwen3.5-35b-a3b": {
        "model_type": "qwen3_5_moe", "tie_word_embeddings": False,
        "text_config": {
            "dtype": "bfloat16", "full_attention_interval": 4, "head_dim": 256, "hidden_size": 2048,
            "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
            "linear_num_value_heads": 32, "linear_value_head_dim": 128,
            "max_position_embeddings": 262144,
            "model_type": "qwen3_5_moe_text", "moe_intermediate_size": 512,
            "num_attention_heads": 16,
            "num_experts": 256, "num_experts_per_tok": 8, "num_hidden_layers": 40,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06, "rope_parameters": {"partial_rotary_factor": 0.25,
            "rope_theta": 10000000},
            "shared_expert_intermediate_size": 512, "vocab_size": 248320,
        },
    },
    "gemma-3-4b": {
        "model_type": "gemma3",
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
            "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
        },
        "torch_dtype": "bfloat16",
    },
    "gpt-oss-20b": {
        "model_type": "gpt_oss", "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
        "max_position_embeddings": 131072, "num_attention_heads": 64, "num_experts_per_tok": 4,
        "num_hidden_layers": 24, "num_key_value_heads": 8, "num_local_experts": 32,
        "quantization_config": {"quant_method": "mxfp4"}, "rms_norm_eps": 1e-05,
        "rope_scaling": {"factor": 32.0, "original_max_position_embeddings": 4096,
        "rope_type": "yarn"},
        "rope_theta": 150000, "sliding_window": 128, "tie_word_embeddings": False,
        "vocab_size": 201088,
    },
    "phi-3-mini-128k": {
        "model_type": "phi3", "hidden_size": 3072, "intermediate_size": 8192,
        "max_position_embeddings": 131072,
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
        "rope_scaling": {"long_factor": [1.0] * 48, "short_factor": [1.0] * 48, "type": "longrope"},
        "rope_theta": 10000.0, "sliding_window": 262144, "tie_word_embeddings": False,
        "vocab_size": 32064,
    },
    "deepseek-v3": {
        "model_type": "deepseek_v3", "first_k_dense_replace": 3, "hidden_size": 7168,
        "intermediate_size": 18432,
        "kv_lora_rank": 512, "max_position_embeddings": 163840, "moe_intermediate_size": 2048,
        "n_group": 8,
        "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": True,
        "num_attention_heads": 128,
        "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
        "num_nextn_predict_layers": 1,
        "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06,
        "rope_scaling": {"factor": 40, "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096, "type": "yarn"},
        "rope_theta": 10000, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
        "topk_group": 4,
        "v_head_dim": 128, "vocab_size": 129280,
    },
    "olmo-3-7b": {
        "model_type": "olmo3", "hidden_size": 4096, "intermediate_size": 11008,
        "max_position_embeddings": 65536, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 32, "rms_norm_eps": 1e-06,
        "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192,
        "rope_type": "yarn"},
        "rope_theta": 500000, "sliding_window": 4096, "tie_word_embeddings": False,
        "vocab_size": 100278,
    },
    "glm-4.5-air": {
        "model_type": "glm4_moe", "first_k_dense_replace": 1, "head_dim": 128, "hidden_size": 4096,
        "intermediate_size": 10944, "max_position_embeddings": 131072,
        "moe_intermediate_size": 1408, "n_group": 1,
        "n_routed_experts": 128, "n_shared_experts": 1, "norm_topk_prob": True,
        "num_attention_heads": 96,
        "num_experts_per_tok": 8, "num_hidden_layers": 46, "num_key_value_heads": 8,
        "num_nextn_predict_layers": 1,
        "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-05, "rope_scaling": None,
        "rope_theta": 1000000,
        "routed_scaling_factor": 1.0, "topk_group": 1, "vocab_size": 151552,
    },
    "granite-4.0-h-tiny": {
        "model_type": "granitemoehybrid", "attention_multiplier": 0.0078125,
        "embedding_multiplier": 12,
        "hidden_size": 1536, "intermediate_size": 512,
        "layer_types": ["attention" if il in (5, 15, 25, 35) else "mamba" for il in range(40)],
        "logits_scaling": 6,
        "mamba_d_conv": 4, "mamba_d_head": 64, "mamba_d_state": 128, "mamba_n_groups": 1,
        "mamba_n_heads": 48,
        "max_position_embeddings": 131072, "num_attention_heads": 12, "num_experts_per_tok": 6,
        "num_hidden_layers": 40, "num_key_value_heads": 4, "num_local_experts": 64,
        "position_embedding_type": "nope",
        "residual_multiplier": 0.22, "rms_norm_eps": 1e-05, "rope_theta": 10000,
        "shared_intermediate_size": 1024,
        "tie_word_embeddings": True, "vocab_size": 100352,
    },
    "ernie-4.5-21b-a3b": {
        "model_type": "ernie4_5_moe", "head_dim": 128, "hidden_size": 2560,
        "intermediate_size": 12288,
        "max_position_embeddings": 131072, "moe_intermediate_size": 1536, "moe_k": 6,
        "moe_layer_interval": 1,
        "moe_layer_start_index": 1, "moe_num_experts": 64, "moe_num_shared_experts": 2,
        "num_attention_heads": 20,
        "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True, "vocab_size": 103424,
    },
}  # fmt: skip
"""What matters of the config.json that each model's catalogue entry names as its source."""


ENCODERS: dict[str, dict[str, Any]] = {
    "bge-m3": {
        "model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"], "hidden_size": 1024,
        "intermediate_size": 4096, "layer_norm_eps": 1e-05, "max_position_embeddings": 8194,
        "num_attention_heads": 16, "num_hidden_layers": 24, "pad_token_id": 1, "type_vocab_size": 1,
        "vocab_size": 250002,
    },
    "bge-reranker-v2-m3": {
        "model_type": "xlm-roberta", "architectures": ["XLMRobertaForSequenceClassification"],
        "hidden_size": 1024, "intermediate_size": 4096, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 8194, "num_attention_heads": 16, "num_hidden_layers": 24,
        "pad_token_id": 1, "type_vocab_size": 1, "vocab_size": 250002,
    },
    "bge-small-en-v1.5": {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384,
        "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
        "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 0, "type_vocab_size": 2,
        "vocab_size": 30522,
    },
    "nomic-embed-text-v1.5": {
        "model_type": "nomic_bert", "n_positions": 8192, "n_layer": 12, "n_embd": 768, "n_inner":
        3072, "n_head": 12, "layer_norm_epsilon": 1e-12, "rotary_emb_base": 1000, "type_vocab_size":
        2, "vocab_size": 30522,
    },
    "nomic-embed-text-v2-moe": {
        "model_type": "nomic_bert", "n_positions": 2048, "n_layer": 12, "n_embd": 768, "n_inner":
        3072, "n_head": 12, "layer_norm_epsilon": 1e-05, "rotary_emb_base": 10000,
        "type_vocab_size": 1, "vocab_size": 250048, "moe_every_n_layers": 2, "moe_top_k": 2,
        "num_experts": 8,
    },
    "modernbert-base": {
        "model_type": "modernbert", "hidden_size": 768, "intermediate_size": 1152,
        "num_hidden_layers": 22, "num_attention_heads": 12, "max_position_embeddings": 8192,
        "vocab_size": 50368, "norm_eps": 1e-05, "local_attention": 128,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0,
    },
    "gte-reranker-modernbert-base": {
        "model_type": "modernbert", "architectures": ["ModernBertForSequenceClassification"],
        "classifier_pooling": "mean", "hidden_size": 768, "intermediate_size": 1152,
        "num_hidden_layers": 22, "num_attention_heads": 12, "max_position_embeddings": 8192,
        "vocab_size": 50368, "norm_eps": 1e-05, "local_attention": 128,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0,
    },
    "eurobert-210m": {
        "model_type": "eurobert", "hidden_size": 768, "intermediate_size": 3072,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 12,
        "max_position_embeddings": 8192, "vocab_size": 128256, "rms_norm_eps": 1e-05, "rope_theta":
        250000,
    },
    "embeddinggemma-300m": {
        "model_type": "gemma3_text", "use_bidirectional_attention": True, "hidden_size": 768,
        "intermediate_size": 1152, "num_hidden_layers": 24, "num_attention_heads": 3,
        "num_key_value_heads": 1, "head_dim": 256, "max_position_embeddings": 2048, "vocab_size":
        262144, "sliding_window": 512,
    },
}  # fmt: skip
"""Their pooling is in no config.json: sentence-transformers keep it in a file of its own."""


@pytest.mark.parametrize("name", CONFIGS)
def test_config_gives_the_catalogue_model(name: str) -> None:
    ours, published = spec_from_hf_config(CONFIGS[name], "Q4_K_M"), catalogue_model(name, "Q4_K_M")
    assert ours.tensors == published.tensors
    for key, value in published.metadata.items():
        if key != "general.name":
            assert (
                ours.metadata[key] == pytest.approx(value)
                if isinstance(value, float)
                else ours.metadata[key] == value
            )


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoders_config_gives_the_catalogue_model(name: str) -> None:
    ours, published = spec_from_hf_config(ENCODERS[name], "Q8_0"), catalogue_model(name, "Q8_0")
    assert ours.arch == published.arch
    told = {name: each for name, each in published.tensors.items() if "dense" not in name}
    assert {name: (each.ne, each.quant) for name, each in ours.tensors.items()} == {
        name: (each.ne, each.quant) for name, each in told.items()
    }
    for key, value in published.metadata.items():
        if not any(mark in key for mark in ("general.name", "pooling", "_swa", "dense")):
            assert ours.metadata[key] == value, key


def test_without_a_quantization_it_is_the_model_as_published() -> None:
    assert spec_from_hf_config(LLAMA_3_1_8B).tensors["output.weight"].quant.name == "BF16"
    half = LLAMA_3_1_8B | {"torch_dtype": "float16"}
    assert spec_from_hf_config(half).tensors["output.weight"].quant.name == "F16"
    assert (
        spec_from_hf_config(CONFIGS["gpt-oss-20b"]).tensors["blk.0.ffn_up_exps.weight"].quant.name
        == "MXFP4"
    )


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
INT4 = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "ignore": ["lm_head", r"re:.*self_attn\.v_proj"],
    "config_groups": {
        "group_0": {"weights": {"num_bits": 4, "type": "int", "symmetric": True, "group_size": 128}}
    },
}


@pytest.mark.parametrize(
    ("config", "name", "up_bytes"),
    [
        (AWQ, "AWQ", 14336 * (4096 // 2 + 32 * 2.5)),
        (GPTQ, "GPTQ", 14336 * (4096 // 2 + 32 * 2.5)),
        (INT4, "compressed-tensors", 14336 * (4096 // 2 + 32 * 2)),
    ],
)
def test_linear_layers_are_packed_with_scales(
    config: dict[str, Any], name: str, up_bytes: float
) -> None:
    spec = spec_from_hf_config(
        LLAMA_3_1_8B | {"quantization_config": config, "torch_dtype": "float16"}
    )
    up = spec.tensors["blk.0.ffn_up.weight"]
    assert (up.quant.name, up.n_bytes, up.ne) == (name, up_bytes, (4096, 14336))
    for kept in ("token_embd.weight", "output.weight", "blk.0.attn_norm.weight"):
        assert spec.tensors[kept].quant.name == "F16"
    assert spec.notes == (NOT_RUN_NOTE,)
    assert spec.per_layer("attention.head_count_kv") == (8,) * 32


def test_gptq_has_a_group_index_and_exceptions_are_kept() -> None:
    gptq = spec_from_hf_config(LLAMA_3_1_8B | {"quantization_config": GPTQ})
    assert gptq.tensors["blk.0.ffn_down.g_idx"].n_bytes == 4 * 14336
    int4 = spec_from_hf_config(LLAMA_3_1_8B | {"quantization_config": INT4})
    assert int4.tensors["blk.0.attn_v.weight"].quant.name == "BF16"
    assert int4.tensors["blk.0.attn_q.weight"].quant.name == "compressed-tensors"
    assert not any(name.endswith("g_idx") for name in int4.tensors)


def test_published_awq_checkpoint_is_as_large() -> None:
    # https://huggingface.co/hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4: two files, 4.68 and
    # 1.05 GB
    spec = spec_from_hf_config(
        LLAMA_3_1_8B | {"quantization_config": AWQ, "torch_dtype": "float16"}
    )
    assert sum(tensor.n_bytes for tensor in spec.tensors.values()) / 1e9 == pytest.approx(
        5.73, rel=0.005
    )


def test_quantization_of_llama_cpp_overrules_the_checkpoint() -> None:
    packed = LLAMA_3_1_8B | {"quantization_config": AWQ}
    assert (
        spec_from_hf_config(packed, "Q4_K_M").tensors
        == catalogue_model("llama-3.1-8b", "Q4_K_M").tensors
    )
    assert spec_from_hf_config(packed, "Q4_K_M").notes == ()


def test_other_quantizations_are_named_and_not_counted() -> None:
    spec = spec_from_hf_config(LLAMA_3_1_8B | {"quantization_config": {"quant_method": "fp8"}})
    (note,) = spec.notes
    assert "in FP8 (vLLM's and SGLang's), which llama.cpp does not load, and are counted in" in note
    assert spec.tensors["output.weight"].quant.name == "BF16"


@given(
    n_inputs=st.integers(1, 1 << 16),
    group=st.integers(0, 256),
    bits=st.sampled_from([2, 3, 4, 8]),
    zero=st.booleans(),
)
def test_packed_row_is_never_smaller_than_its_parts(
    n_inputs: int, group: int, bits: int, zero: bool
) -> None:
    packed = PackedFormat(name="x", bits=bits, group=group, zero_points=zero, group_index=False)
    row = packed.row_type(n_inputs)
    n_groups = ceil(n_inputs / group) if group else 1
    exact = n_inputs * bits / 8 + n_groups * (2 + (bits / 8 if zero else 0))
    assert exact <= row.row_bytes(n_inputs) < exact + 1


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"model_type": "gptj"}, UnknownNameError, "'gptj' is not known; known are"),
        ({"num_hidden_layers": None}, ModelFileError, "block_count is missing or malformed"),
        ({"num_hidden_layers": 10**9}, ModelFileError, "block_count = 1000000000"),
        ({"num_hidden_layers": 513}, ModelFileError, "block_count = 513"),
        ({"hidden_size": 1 << 25}, ModelFileError, "embedding_length = 33554432"),
        ({"num_attention_heads": 0}, ModelFileError, "whole config.json"),
        ({"hidden_size": "4096"}, ModelFileError, "whole config.json"),
        (
            {"quantization_config": {"quant_method": "awq"}},
            ModelFileError,
            "quantization_config has no usable 'bits'",
        ),
        ({"quantization_config": AWQ | {"bits": 5}}, ModelFileError, r"number of bits \(5\)"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], error: type[OomphError], said: str) -> None:
    with pytest.raises(error, match=said):
        spec_from_hf_config(LLAMA_3_1_8B | changes)


json_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just([])
    | st.just({})
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # of a busy machine
@given(st.dictionaries(st.sampled_from(sorted(LLAMA_3_1_8B)), json_values, max_size=4))
def test_any_value_gives_a_model_or_an_error_that_says_so(changes: dict[str, Any]) -> None:
    try:
        spec = spec_from_hf_config(LLAMA_3_1_8B | changes)
    except OomphError:
        return
    assert spec.tensors["token_embd.weight"].n_bytes > 0


def test_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Qwen3-30B-A3B" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(QWEN3_30B_A3B))
    spec = read_hf_config(path, "Q8_0")
    assert (spec.name, spec.source, spec.file_bytes) == ("Qwen3-30B-A3B", str(path), None)
    for text in ("{", "[]", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(ModelFileError, match=r"config\.json"):
            read_hf_config(path)
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_hf_config(tmp_path / "missing.json")
