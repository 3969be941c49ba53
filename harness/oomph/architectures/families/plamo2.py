"""Preferred Networks' PLaMo 2: Mamba by heads between layers of attention."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, HuggingFace, Recurrence, Rope, Tensors
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _mamba(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Mamba whose heads decay, steered by a projection of what was convolved."""
    inner, heads = model.integer("ssm.inner_size"), model.integer("ssm.time_step_rank")
    state, n_dt = model.integer("ssm.state_size"), max(64, model.n_embd // 16)
    yield "ssm_in.weight", (model.n_embd, 2 * inner)
    yield "ssm_conv1d.weight", (model.integer("ssm.conv_kernel"), inner)
    yield "ssm_x.weight", (inner, n_dt + 2 * state)
    yield "ssm_dt.weight", (n_dt, heads)
    yield "ssm_dt.bias", (heads,)
    for which in "ad":
        yield f"ssm_{which}", (heads,)
    yield "ssm_out.weight", (inner, model.n_embd)
    yield "ssm_dt_norm", (n_dt,)
    for which in "bc":
        yield f"ssm_{which}_norm", (state,)


def _head_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms of query and key, of each head its own."""
    head_k = parts.head_size(model)[0]
    for which, n_head in zip("qk", parts.heads(model, il), strict=True):
        yield f"attn_{which}_norm.weight", (head_k, n_head)


def _post_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What follows a part, named bare."""
    for name in ("post_attention_norm", "post_ffw_norm"):
        yield name, (model.n_embd,)


_UNSAID: Final = {
    "hidden_size": 4096,
    "hidden_size_per_head": 128,
    "intermediate_size": 13312,
    "mamba_d_conv": 4,
    "mamba_d_state": 64,
    "mamba_enabled": True,
    "mamba_num_heads": 64,
    "mamba_step": 2,
    "max_position_embeddings": 2048,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}


def _attends(config: Config, il: int) -> bool:
    """Whether a layer is one of attention: of few layers the last, else one of each step."""
    n_layer: int = config["num_hidden_layers"]
    step: int = config["mamba_step"]
    return il == n_layer - 1 if n_layer <= step // 2 else il % step == step // 2


def _translate(config: Config) -> dict[str, Value]:
    head = config["hidden_size_per_head"]
    found: dict[str, Value] = {
        "attention.key_length": head,
        "attention.value_length": head,
        "ssm.conv_kernel": config["mamba_d_conv"],
        "ssm.group_count": 0,
        "ssm.inner_size": config["mamba_num_heads"] * head,
        "ssm.state_size": config["mamba_d_state"],
        "ssm.time_step_rank": config["mamba_num_heads"],
    }
    if config["mamba_enabled"]:
        attends = [_attends(config, il) for il in range(config["num_hidden_layers"])]
        for key, name in (("", "num_attention_heads"), ("_kv", "num_key_value_heads")):
            found[f"attention.head_count{key}"] = tuple(config[name] * each for each in attends)
    return found


FAMILIES: Final = (
    Family(
        name="plamo2",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _post_norms),
            attention=(parts.fused_query_key_value, _head_norms),
            recurrent=(_mamba,),
            dense=(parts.fused_gated,),
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="mamba_by_head"),
        rope=Rope(factors="none"),
        hugging_face=HuggingFace(model_types=("plamo2",), translate=_translate, defaults=_UNSAID),
    ),
)
