"""IBM's Granite: dense, with experts, with windows, and 4.0's hybrids with Mamba-2."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Recurrence,
    Rope,
    Tensors,
    Windows,
)
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _translate_hybrid(config: Config) -> dict[str, Value]:
    n_head_kv, kinds = config["num_key_value_heads"], config["layer_types"]
    found: dict[str, Value] = {
        "attention.head_count_kv": tuple(n_head_kv if kind == "attention" else 0 for kind in kinds),
        "attention.scale": config["attention_multiplier"],
        "embedding_scale": config["embedding_multiplier"],
        "residual_scale": config["residual_multiplier"],
        "logit_scale": config["logits_scaling"],
        "rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
        "rope.scaling.finetuned": config.get("position_embedding_type") == "rope",
        "ssm.conv_kernel": config["mamba_d_conv"],
        "ssm.state_size": config["mamba_d_state"],
        "ssm.group_count": config["mamba_n_groups"],
        "ssm.time_step_rank": config["mamba_n_heads"],
        "ssm.inner_size": config["mamba_n_heads"] * config["mamba_d_head"],
    }
    if not config.get("num_local_experts"):  # a dense one calls its feed-forward the shared expert
        found |= {
            "feed_forward_length": config["shared_intermediate_size"],
            "expert_shared_feed_forward_length": 0,
        }
    return found


def _fused_shared_expert(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The shared expert with gate and up in one."""
    if n_ff := model.integer("expert_shared_feed_forward_length", 0):
        yield "ffn_up_shexp.weight", (model.n_embd, 2 * n_ff)
        yield "ffn_down_shexp.weight", (n_ff, model.n_embd)


def _adapters(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Low-rank matrices beside each of the layer's, a pair for each adapter and one of zeros."""
    rank, n = model.integer("adapters.lora_rank"), model.integer("adapters.count") + 1
    beside = (*parts.query_key_value(model, il), *parts.gated(model, il))
    for name, (n_in, n_out) in beside:
        stem = name.removesuffix(".weight")
        yield f"{stem}.lora_a", (n_in, rank, n)
        yield f"{stem}.lora_b", (rank, n_out, n)


FAMILIES: Final = (
    Family(name="granite", tensors=Tensors(), rope=Rope(layers="finetuned")),
    Family(name="granitemoe", tensors=Tensors(), rope=Rope(layers="finetuned")),
    Family(
        name="granitehybrid",
        tensors=Tensors(recurrent=(parts.mamba2,), experts=parts.SHARED_EXPERTS),
        recurrence=Recurrence(layers="no_kv_heads", part="mamba2"),
        rope=Rope(layers="finetuned"),
        hugging_face=HuggingFace(model_types=("granitemoehybrid",), translate=_translate_hybrid),
    ),
    Family(
        name="granite_swa",
        tensors=Tensors(
            attention=(parts.query_key_value, parts.attention_sinks),
            experts=(parts.fused_experts(parts.dense_width), _fused_shared_expert),
        ),
        windows=Windows(period=4, dense_first=True),
        rope=Rope(layers="listed", is_whole=True),
    ),
    Family(
        name="graniteswitch",
        tensors=Tensors(attention=(parts.fused_query_key_value, _adapters)),
        rope=Rope(layers="finetuned"),
        graph=GraphRules(layer="switched", inputs="tokens"),
        required=("logit_scale", "adapters.count", "adapters.lora_rank"),
    ),
)
