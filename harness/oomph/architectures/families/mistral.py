"""Mistral AI's later models; llama.cpp runs the older ones as Llama."""

from typing import Final

from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors
from oomph.architectures.hf_keys import Config, rope_table, rotary_width
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    rope = rope_table(config)
    return rotary_width(config) | {
        "attention.temperature_scale": rope["llama_4_scaling_beta"],
        "rope.scaling.yarn_log_multiplier": rope["mscale_all_dim"],
    }


FAMILIES: Final = (
    Family(
        name="mistral3",
        tensors=Tensors(),
        graph=GraphRules(temperature="metadata"),
        hugging_face=HuggingFace(model_types=("ministral3",), translate=_translate),
    ),
)
