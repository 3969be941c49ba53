"""OpenBMB's MiniCPM3: latent attention whose full heads are cached, scales without a key."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _latent_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Low-rank query, and K and V out of one matrix."""
    n_head, n_embd = parts.heads(model, il)[0], model.n_embd
    rank, rank_q = (model.integer(f"attention.{which}_lora_rank") for which in ("kv", "q"))
    head_k, head_v = parts.head_size(model)
    rope = model.integer("rope.dimension_count", head_k)
    yield "attn_q_a.weight", (n_embd, rank_q)
    yield "attn_q_a_norm.weight", (rank_q,)
    yield "attn_q_b.weight", (rank_q, n_head * head_k)
    yield "attn_kv_a_mqa.weight", (n_embd, rank + rope)
    yield "attn_kv_a_norm.weight", (rank,)
    yield "attn_kv_b.weight", (rank, n_head * (head_k - rope + head_v))
    yield "attn_output.weight", (n_head * head_v, n_embd)


def _translate(config: Config) -> dict[str, Value]:
    rope = config["qk_rope_head_dim"]
    return {
        "attention.q_lora_rank": config["q_lora_rank"],
        "attention.kv_lora_rank": config["kv_lora_rank"],
        "attention.key_length": config["qk_nope_head_dim"] + rope,
        "attention.value_length": config["hidden_size"] // config["num_attention_heads"],
        "rope.dimension_count": rope,
    }


FAMILIES: Final = (
    Family(
        name="minicpm3",
        tensors=Tensors(attention=(_latent_attention,)),
        graph=GraphRules(scales_embedding=True, scaled=("residual_scale",), scales_head_input=True),
        hugging_face=HuggingFace(model_types=("minicpm3",), translate=_translate),
    ),
)
