"""LG AI Research's EXAONE 3.5, a Llama, and EXAONE 4 with norms after each part."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    n_layer: int = config["num_layers"] if "num_layers" in config else config["num_hidden_layers"]
    return rotary_width(config) | {
        "block_count": n_layer,
        "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
    }


FAMILIES: Final = (
    Family(
        name="exaone",
        tensors=Tensors(),
        rope=Rope(is_whole=True),
        hugging_face=HuggingFace(model_types=("exaone",), translate=_translate),
    ),
    Family(
        name="exaone4",
        tensors=Tensors(
            every=(parts.norm("post_attention_norm", "post_ffw_norm"),),
            attention=parts.NORMED_ATTENTION,
        ),
        windows=Windows(period=4, n_tokens=4096, n_layer=64),
        rope=Rope(layers="windowed"),
    ),
)
