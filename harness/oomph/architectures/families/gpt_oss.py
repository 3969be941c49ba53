"""OpenAI's gpt-oss: windows in every other layer, attention sinks, biases everywhere."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors, Windows
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    return {"expert_feed_forward_length": config["intermediate_size"]}


FAMILIES: Final = (
    Family(
        name="gpt-oss",
        tensors=Tensors(
            every=parts.POST_ATTENTION_NORM,
            attention=(*parts.BIASED_ATTENTION, parts.output_bias, parts.attention_sinks),
            experts=(parts.experts, parts.experts_bias),
        ),
        windows=Windows(period=2),
        graph=GraphRules(
            expert_gating="softmax_weight", expert_weights_norm=False, outputs_at="before_norm"
        ),
        hugging_face=HuggingFace(model_types=("gpt_oss",), translate=_translate),
    ),
)
