"""TII's Falcon, and Falcon-H1 with attention and Mamba-2 side by side."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Recurrence, Rope, Tensors
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _unnormed_mamba2(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A Mamba-2 mixer without its norm, and a feed-forward norm that is named bare."""
    yield from (tensor for tensor in parts.mamba2(model, il) if tensor[0] != "ssm_norm.weight")
    yield "ffn_norm", (model.n_embd,)


def _translate(config: Config) -> dict[str, Value]:
    inner = config["mamba_d_ssm"]
    return {
        "ssm.conv_kernel": config["mamba_d_conv"],
        "ssm.state_size": config["mamba_d_state"],
        "ssm.group_count": config["mamba_n_groups"],
        "ssm.time_step_rank": inner // config["mamba_d_head"],
        "ssm.inner_size": inner,
    }


FAMILIES: Final = (
    Family(
        name="falcon",  # a model of it needs a file
        rope=Rope(is_whole=True),
        graph=GraphRules(layer="parallel", norm="layer", parallel_sum="attention_then_residual"),
        hugging_face=HuggingFace(model_types=("falcon", "RefinedWeb", "RefinedWebModel")),
    ),
    Family(
        name="falcon-h1",
        tensors=Tensors(every=(parts.norm("attn_norm"),), recurrent=(_unnormed_mamba2,)),
        recurrence=Recurrence(layers="beside", part="mamba2"),
        rope=Rope(factors="none"),
        graph=GraphRules(layer="twin"),
        hugging_face=HuggingFace(model_types=("falcon_h1",), translate=_translate),
    ),
)
