"""Google's Gemma, Gemma 2 and Gemma 3."""

from collections.abc import Mapping
from typing import Any, Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value

TEXT_TOKENS: Final = 262144
"""The rows that the converter keeps of Gemma 3's embedding; the further ones are for images."""


GEMMA_3_DEFAULTS: Final[Mapping[str, Any]] = {
    "vocab_size": 262208,
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
}
"""What transformers assumes of Gemma 3, and of EmbeddingGemma, which looks both ways."""


def _translate_gemma3(config: Config) -> dict[str, Value]:
    return {"vocab_size": min(int(config["vocab_size"]), TEXT_TOKENS)}


FAMILIES: Final = (
    Family(
        name="gemma",
        tensors=Tensors(),
        rope=Rope(factors="none"),
        graph=GraphRules(scales_q=True, scales_embedding=True),
        hugging_face=HuggingFace(
            model_types=("gemma",), defaults={"tie_word_embeddings": True, "head_dim": 256}
        ),
    ),
    Family(
        name="gemma2",
        tensors=Tensors(every=parts.SANDWICH_NORMS),
        windows=Windows(period=2, n_tokens=4096),
        graph=GraphRules(
            scales_q=True, scales_embedding=True, softcaps_scores=True, softcaps_logits=True
        ),
        hugging_face=HuggingFace(
            model_types=("gemma2",),
            defaults={"head_dim": 256, "rms_norm_eps": 1e-6, "tie_word_embeddings": True},
        ),
    ),
    Family(
        name="gemma3",
        tensors=Tensors(every=parts.SANDWICH_NORMS, attention=parts.NORMED_ATTENTION),
        windows=Windows(period=6),
        graph=GraphRules(scales_q=True, scales_embedding=True, scales_tokens_alone=True),
        hugging_face=HuggingFace(
            model_types=("gemma3_text",),
            applies=lambda config: not config.get("use_bidirectional_attention"),
            translate=_translate_gemma3,
            defaults=GEMMA_3_DEFAULTS,
        ),
    ),
)
