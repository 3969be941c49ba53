"""config.json of plain decoders: the same model as the catalogue's."""

from typing import Any, Final

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.hf_config import spec_from_hf_config

_LLAMA_LIKE: Final = {
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-6,
}  # fmt: skip
CONFIGS: Final[dict[str, dict[str, Any]]] = {
    "gpt2": {
        "model_type": "gpt2", "n_ctx": 1024, "n_positions": 1024, "n_embd": 768, "n_head": 12,
        "n_layer": 12, "layer_norm_epsilon": 1e-5, "vocab_size": 50257,
    },
    "starcoder": {
        "model_type": "gpt_bigcode", "n_positions": 8192, "n_embd": 6144, "n_head": 48,
        "n_inner": 24576, "n_layer": 40, "layer_norm_epsilon": 1e-5, "vocab_size": 49152,
        "multi_query": True,
    },
    "pythia-1.4b": {
        "model_type": "gpt_neox", "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 24, "num_attention_heads": 16, "max_position_embeddings": 2048,
        "layer_norm_eps": 1e-5, "rotary_pct": 0.25, "use_parallel_residual": True,
        "tie_word_embeddings": False, "vocab_size": 50304,
    },
    "gemma-2b": {
        "model_type": "gemma", "hidden_size": 2048, "intermediate_size": 16384, "head_dim": 256,
        "num_hidden_layers": 18, "num_attention_heads": 8, "num_key_value_heads": 1,
        "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "vocab_size": 256000,
    },
    "exaone-3.5-7.8b": {
        "model_type": "exaone", "hidden_size": 4096, "intermediate_size": 14336, "num_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768,
        "layer_norm_epsilon": 1e-5, "rope_theta": 1e6, "vocab_size": 102400,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "tie_word_embeddings": False,
    },
    "minitron-4b": {
        "model_type": "nemotron", "hidden_size": 3072, "intermediate_size": 9216, "head_dim": 128,
        "num_hidden_layers": 32, "num_attention_heads": 24, "num_key_value_heads": 8,
        "max_position_embeddings": 4096, "norm_eps": 1e-5, "partial_rotary_factor": 0.5,
        "vocab_size": 256000,
    },
    "baichuan2-7b": _LLAMA_LIKE | {
        "model_type": "baichuan", "vocab_size": 125696, "tie_word_embeddings": False,
    },
    "qwen-7b": _LLAMA_LIKE | {
        "model_type": "qwen", "intermediate_size": 22016, "vocab_size": 151936, "seq_length": 8192,
        "layer_norm_epsilon": 1e-6, "max_position_embeddings": 32768,
    },
    "chameleon-7b": _LLAMA_LIKE | {
        "model_type": "chameleon", "vocab_size": 65536, "swin_norm": False,
    },
    "minicpm-2b": {
        "model_type": "minicpm", "hidden_size": 2304, "intermediate_size": 5760,
        "num_hidden_layers": 40, "num_attention_heads": 36, "num_key_value_heads": 36,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "scale_emb": 12, "scale_depth": 1.4,
        "dim_model_base": 256, "vocab_size": 122753,
    },
    "glm-4-9b": {
        "model_type": "chatglm", "hidden_size": 4096, "ffn_hidden_size": 13696, "num_layers": 40,
        "num_attention_heads": 32, "multi_query_group_num": 2, "kv_channels": 128,
        "layernorm_epsilon": 1e-5, "seq_length": 131072, "padded_vocab_size": 151552,
    },
    "olmo-1b": {
        "model_type": "olmo", "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "num_attention_heads": 16, "max_position_embeddings": 2048,
        "clip_qkv": None, "tie_word_embeddings": True, "vocab_size": 50304,
    },
    "hunyuan-7b": {
        "model_type": "hunyuan_v1_dense", "hidden_size": 4096, "intermediate_size": 14336,
        "head_dim": 128, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5,
        "rope_scaling": {"type": "dynamic", "alpha": 1000.0}, "tie_word_embeddings": True,
        "vocab_size": 128167,
    },
}  # fmt: skip
"""The keys that count of each model's published config.json."""


@pytest.mark.parametrize("name", CONFIGS)
def test_config_gives_the_catalogue_model(name: str) -> None:
    expected, spec = catalogue_model(name, "Q4_K_M"), spec_from_hf_config(CONFIGS[name], "Q4_K_M")
    assert dict(spec.tensors) == dict(expected.tensors)
    for key in ("context_length", "rope.dimension_count", "attention.layer_norm_epsilon"):
        if f"{expected.arch}.{key}" in expected.metadata:
            assert spec.hparam(key) == expected.hparam(key)
