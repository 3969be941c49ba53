"""inclusionAI's GroveMoE: groups of experts share an adjugate expert each."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _adjugate_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """One for each group of experts, as wide as a head where the metadata do not say."""
    n_groups = model.n_expert // max(model.integer("experts_per_group"), 1)
    head = parts.head_size(model)[0]
    n_ff = model.integer("expert_chunk_feed_forward_length", 0) or head
    yield "ffn_gate_chexps.weight", (model.n_embd, n_ff, n_groups)
    yield "ffn_up_chexps.weight", (model.n_embd, n_ff, n_groups)
    yield "ffn_down_chexps.weight", (n_ff, model.n_embd, n_groups)


def _translate(config: Config) -> dict[str, Value]:
    # the converter's own constant for the experts of a group
    return rotary_width(config) | {
        "expert_chunk_feed_forward_length": config.get("head_dim") or 128,
        "experts_per_group": 2,
    }


FAMILIES: Final = (
    Family(
        name="grovemoe",
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION, experts=(parts.experts, _adjugate_experts)
        ),
        rope=Rope(factors="none", is_whole=True),
        graph=GraphRules(chooses_by_sigmoid=True),
        hugging_face=HuggingFace(model_types=("grove_moe",), translate=_translate),
    ),
)
