"""poolside's Laguna: a gate on attention's output, by head or by element."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Rope,
    Tensors,
    Windows,
)
from oomph.architectures.hf_keys import Config, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _output_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """As wide as the file has it; published are one a head beside windows, else one an element."""
    n_head, name = parts.heads(model, il)[0], "attn_gate.weight"
    by_element = n_head * parts.head_size(model)[0]
    stored = model.tensors.get(f"blk.{il}.{name}")
    if stored is None:
        is_wide = not model.integer("attention.sliding_window", 0)
    else:
        is_wide = stored.ne[1] == by_element
    yield name, (model.n_embd, by_element if is_wide else n_head)


def _translate(config: Config) -> dict[str, Value]:
    rope = table(config, "rope_parameters")
    full, windowed = (
        int(config["head_dim"] * table(rope, kind).get("partial_rotary_factor", 1.0))
        for kind in ("full_attention", "sliding_attention")
    )
    heads = config.get("num_attention_heads_per_layer")
    kinds = [*config["mlp_layer_types"], "sparse"]
    return {
        "attention.head_count": tuple(heads) if heads else config["num_attention_heads"],
        "expert_gating_func": 2,
        "expert_weights_norm": True,
        "expert_weights_scale": config["moe_routed_scaling_factor"],
        "leading_dense_block_count": next(i for i, k in enumerate(kinds) if k != "dense"),
        "rope.dimension_count": full,
        "rope.dimension_count_swa": windowed,
    }


FAMILIES: Final = (
    Family(
        name="laguna",
        tensors=Tensors(
            attention=(*parts.NORMED_ATTENTION, _output_gate), experts=parts.BALANCED_EXPERTS
        ),
        windows=Windows(period=4, dense_first=True),
        rope=Rope(factors="none"),
        graph=GraphRules(
            gate_activation="softplus",
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
        ),
        hugging_face=HuggingFace(model_types=("laguna",), translate=_translate),
    ),
)
