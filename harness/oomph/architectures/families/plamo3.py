"""Preferred Networks' PLaMo 3: norms around each part, gate and up in one matrix."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _bare_post_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The norms after each part, which are named bare."""
    yield "post_attention_norm", (model.n_embd,)
    yield "post_ffw_norm", (model.n_embd,)


def _translate(config: Config) -> dict[str, Value]:
    found: dict[str, Value] = {}
    factor = config.get("rope_scaling_factor", 1)
    if factor != 1:
        found |= {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": float(factor),
            "rope.scaling.original_context_length": config["initial_context_length"],
            "rope.scaling.yarn_beta_fast": 32.0,
            "rope.scaling.yarn_beta_slow": 1.0,
        }
    window = config.get("window_size", config.get("sliding_window"))
    if window is not None:
        found |= {
            "attention.sliding_window": window,
            "attention.sliding_window_pattern": config["sliding_window_pattern"],
        }
    return found


FAMILIES: Final = (
    Family(
        name="plamo3",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _bare_post_norms),
            attention=(parts.fused_query_key_value, parts.head_norm),
            dense=(parts.fused_gated,),
        ),
        windows=Windows(period=8, is_optional=True),
        rope=Rope(factors="none"),
        graph=GraphRules(pinned_post_norms="both"),
        hugging_face=HuggingFace(
            model_types=("plamo3",), translate=_translate, defaults={"tie_word_embeddings": True}
        ),
    ),
)
