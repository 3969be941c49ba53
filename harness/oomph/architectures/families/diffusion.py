"""Diffusion language models, which see a whole input at once and keep no cache: LLaDA, Dream."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.gguf.header import Value

_BOTH_WAYS: Final[dict[str, Value]] = {"attention.causal": False}


def _translate_llada(config: Config) -> dict[str, Value]:
    width, heads = config["d_model"], config["n_heads"]
    return _BOTH_WAYS | {
        "context_length": config.get("max_sequence_length", 4096),
        "embedding_length": width,
        "feed_forward_length": config.get("mlp_hidden_size") or 12288,
        "rope.dimension_count": width // heads,
    }


def _has_experts(config: Config) -> bool:
    return bool(config.get("num_experts"))


def _translate(config: Config) -> dict[str, Value]:
    width = config.get("expert_intermediate_size")
    return (
        rotary_width(config)
        | _BOTH_WAYS
        | ({} if width is None else {"expert_feed_forward_length": width})
    )


_ROPE: Final = Rope(factors="none", is_whole=True)

FAMILIES: Final = (
    Family(
        name="llada",
        tensors=Tensors(),
        rope=_ROPE,
        has_cache=False,
        hugging_face=HuggingFace(
            model_types=("llada",),
            applies=lambda config: not _has_experts(config),
            translate=_translate_llada,
        ),
    ),
    Family(
        name="llada-moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        rope=_ROPE,
        graph=GraphRules(expert_weights_norm=False),
        has_cache=False,
        hugging_face=HuggingFace(
            model_types=("llada", "llada_moe"), applies=_has_experts, translate=_translate
        ),
    ),
    Family(
        name="dream",
        tensors=Tensors(attention=parts.BIASED_ATTENTION),
        rope=_ROPE,
        has_cache=False,
        hugging_face=HuggingFace(model_types=("Dream",), translate=_translate),
    ),
    Family(
        name="rnd1",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        rope=_ROPE,
        has_cache=False,
        hugging_face=HuggingFace(model_types=("rnd1",), translate=_translate),
    ),
)
