"""State-space models: Mamba, Mamba-2, and AI21's Jamba with attention between."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Recurrence, Rope, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _scan_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms of what the scan is steered by."""
    yield "ssm_dt_norm.weight", (model.integer("ssm.time_step_rank"),)
    for which in "bc":
        yield f"ssm_{which}_norm.weight", (model.integer("ssm.state_size"),)


FAMILIES: Final = (
    Family(
        name="mamba",
        tensors=Tensors(every=(parts.norm("attn_norm"),), recurrent=(parts.mamba,)),
        recurrence=Recurrence(layers="all", part="mamba"),
        rope=Rope(layers="none"),
        graph=GraphRules(layer="single"),
    ),
    Family(
        name="mamba2",
        tensors=Tensors(every=(parts.norm("attn_norm"),), recurrent=(parts.mamba2,)),
        recurrence=Recurrence(layers="all", part="mamba2"),
        rope=Rope(layers="none"),
        graph=GraphRules(layer="single"),
    ),
    Family(
        name="jamba",
        tensors=Tensors(recurrent=(parts.mamba, _scan_norms)),
        recurrence=Recurrence(layers="no_kv_heads", part="mamba"),
        rope=Rope(layers="none"),
        graph=GraphRules(expert_weights_norm=False, mixing_first=False, feed_forward_first=False),
    ),
)
