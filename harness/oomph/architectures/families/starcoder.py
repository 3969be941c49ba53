"""BigCode's StarCoder, which is GPT-2 with one KV head, and StarCoder 2."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.gpt import NORMS, of_gpt2
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value


def _of_starcoder(config: Config) -> dict[str, Value]:
    return of_gpt2(config) | {"attention.head_count_kv": 1}


FAMILIES: Final = (
    Family(
        name="starcoder",
        tensors=Tensors(
            every=NORMS,
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=parts.BIASED_UNGATED,
            outside=(parts.output_norm_bias, parts.position_table),
        ),
        rope=Rope(layers="learned"),
        graph=GraphRules(norm="layer", table_first=False),
        hugging_face=HuggingFace(
            model_types=("gpt_bigcode",),
            translate=_of_starcoder,
            defaults={"tie_word_embeddings": True},
        ),
    ),
    Family(
        name="starcoder2",
        tensors=Tensors(
            every=NORMS,
            attention=(*parts.BIASED_ATTENTION, parts.output_bias),
            dense=parts.BIASED_UNGATED,
            outside=(parts.output_norm_bias,),
        ),
        graph=GraphRules(norm="layer"),
        hugging_face=HuggingFace(
            model_types=("starcoder2",), defaults={"tie_word_embeddings": True}
        ),
    ),
)
