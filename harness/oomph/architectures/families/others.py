"""Dense decoders of makers with one or two: Baichuan, MiniCPM, OpenELM, BitNet and others."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value

_WHOLE: Final = Rope(factors="none", is_whole=True)


def _sub_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms before the attention's output projection and the down projection (BitNet)."""
    yield "attn_sub_norm.weight", (model.n_embd,)
    yield "ffn_sub_norm.weight", (model.per_layer("feed_forward_length")[il],)


def _expanded_latent(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Latent attention whose K and V are multiplied out to full heads (PLM)."""
    n_head, (head_k, head_v) = parts.heads(model, il)[0], parts.head_size(model)
    rank, rope = model.integer("attention.kv_lora_rank"), model.integer("rope.dimension_count")
    yield "attn_q.weight", (model.n_embd, n_head * head_k)
    yield "attn_kv_a_mqa.weight", (model.n_embd, rank + rope)
    yield "attn_kv_a_norm.weight", (rank,)
    yield "attn_kv_b.weight", (rank, n_head * (head_k - rope + head_v))
    yield "attn_output.weight", (n_head * head_v, model.n_embd)


def _of_minicpm(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {
        "embedding_scale": config["scale_emb"],
        "residual_scale": config["scale_depth"] / config["num_hidden_layers"] ** 0.5,
        "logit_scale": config["hidden_size"] / config["dim_model_base"],
    }


def _of_baichuan(config: Config) -> dict[str, Value]:
    found = rotary_width(config)
    if "max_position_embeddings" not in config:
        found["context_length"] = config["model_max_length"]
    return found


def _of_orion(config: Config) -> dict[str, Value]:
    return {"attention.layer_norm_epsilon": config["rms_norm_eps"]}


FAMILIES: Final = (
    Family(
        name="baichuan",
        tensors=Tensors(),
        rope=Rope(factors="none", n_layer=32, is_whole=True),
        hugging_face=HuggingFace(model_types=("baichuan",), translate=_of_baichuan),
    ),
    Family(
        name="minicpm",
        tensors=Tensors(),
        graph=GraphRules(scaled=("embedding_scale", "residual_scale", "logit_scale")),
        hugging_face=HuggingFace(
            model_types=("minicpm",), translate=_of_minicpm, defaults={"tie_word_embeddings": True}
        ),
    ),
    Family(
        name="maincoder",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        rope=_WHOLE,
        graph=GraphRules(qk_norm="rotated"),
        hugging_face=HuggingFace(model_types=("maincoder",)),
    ),
    Family(
        name="pangu-embedded",
        tensors=Tensors(attention=(*parts.BIASED_ATTENTION, parts.output_bias)),
        rope=_WHOLE,
        hugging_face=HuggingFace(model_types=("PanguEmbedded",)),
    ),
    Family(
        name="orion",
        tensors=Tensors(
            every=(parts.layer_norm("attn_norm", "ffn_norm"),), outside=(parts.output_norm_bias,)
        ),
        rope=_WHOLE,
        graph=GraphRules(norm="layer"),
        hugging_face=HuggingFace(model_types=("orion",), translate=_of_orion),
    ),
    Family(
        name="xverse",
        tensors=Tensors(),
        rope=_WHOLE,
        hugging_face=HuggingFace(model_types=("xverse",), translate=rotary_width),
    ),
    Family(
        name="openelm",
        tensors=Tensors(attention=(parts.fused_query_key_value, parts.head_norm)),
        rope=Rope(factors="none"),
        graph=GraphRules(mixing_first=False),
    ),
    Family(
        name="bitnet",
        tensors=Tensors(every=(parts.norm("attn_norm", "ffn_norm"), _sub_norms)),
        rope=Rope(factors="none"),
        head="embedding",
        hugging_face=HuggingFace(model_types=("bitnet",)),
    ),
    Family(
        name="plm",
        tensors=Tensors(attention=(_expanded_latent,), dense=(parts.ungated,)),
        rope=Rope(factors="none"),
        graph=GraphRules(activation="relu_sqr", fuses_attention="aborts"),
        required=("attention.kv_lora_rank",),
    ),
    Family(
        name="plamo",
        tensors=Tensors(every=(parts.norm("attn_norm"),)),
        rope=_WHOLE,
        graph=GraphRules(layer="parallel", parallel_sum="attention_then_residual"),
    ),
)
