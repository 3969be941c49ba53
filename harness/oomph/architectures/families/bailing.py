"""inclusionAI's Ling and Ring: 1, 2.0, and 3.0 with Kimi delta and latent attention."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.deepseek import latent_attention
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Recurrence,
    Rope,
    Tensors,
)
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return {
        "rope.dimension_count": width,
        "expert_shared_count": config["num_shared_experts"],
        "expert_weights_scale": 1.0,
        "expert_weights_norm": bool(config["norm_topk_prob"]),
    }


def _head_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate for each head of attention."""
    yield "attn_gate.weight", (model.n_embd, parts.heads(model, il)[0])


def _whole_gates(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Kimi delta attention's gates of full rank."""
    inner = model.integer("kda.head_dim") * parts.heads(model, il)[0]
    for which in "fg":
        yield f"ssm_{which}_a.weight", (model.n_embd, inner)


def _next_token(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The block that predicts further tokens, whose last norm has another name than elsewhere."""
    for name, ne in parts.next_token_projection(model, il):
        renamed = "layer_output_norm.weight" if "shared_head_norm" in name else name
        yield renamed, ne


FAMILIES: Final = (
    Family(
        name="bailingmoe",
        tensors=Tensors(experts=parts.SHARED_EXPERTS),
        graph=GraphRules(expert_weights_norm=None),
        hugging_face=HuggingFace(model_types=("bailing_moe",), translate=_translate),
    ),
    Family(
        name="bailingmoe2",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, parts.head_norm),
            experts=parts.BALANCED_EXPERTS,
        ),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
    ),
    Family(
        name="bailingmoe3",
        tensors=Tensors(
            attention=(latent_attention, _head_gate),
            recurrent=(parts.kda, _whole_gates, parts.kda_rates),
            experts=parts.BALANCED_EXPERTS,
            next_token=(_next_token,),
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="kda", gate="bounded", rolls_back=True),
        rope=Rope(sections="listed"),
        caches_idle=True,
        graph=GraphRules(
            copies_gated=True,
            expert_gating="metadata",
            expert_weights_norm=None,
            outputs_at="after_norm",
            head_outputs_at="after_norm",
        ),
    ),
)
