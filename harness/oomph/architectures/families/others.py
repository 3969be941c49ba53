"""Dense decoders of makers with one or two: Baichuan, MiniCPM, OpenELM, BitNet and others."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config, listed_windows, rotary_width, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Part, Tensor
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


def _vision_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What stands for a layer's matrices where the tokens are an image's (CogVLM)."""
    n_ff = model.per_layer("feed_forward_length")[il]
    for name, ne in parts.fused_query_key_value(model, il):
        yield f"vis_{name}", ne
    yield "vis_gate.weight", (model.n_embd, n_ff)
    yield "vis_up.weight", (model.n_embd, n_ff)
    yield "vis_down.weight", (n_ff, model.n_embd)


def _norm_each_head(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms of q and k with weights for each head (Chameleon)."""
    (n_head, n_head_kv), (head_k, _) = parts.heads(model, il), parts.head_size(model)
    for which, heads in (("q", n_head), ("k", n_head_kv)):
        yield f"attn_{which}_norm.weight", (head_k, heads)
        yield f"attn_{which}_norm.bias", (head_k, heads)


def _query_gain(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A weight for each head of q, and one for the embedding that is added (Talkie)."""
    yield "attn_q_norm.weight", (1, parts.heads(model, il)[0])
    yield "layer_output_scale.weight", (1,)


def _gate_by_head(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate for each head's output (Spark)."""
    yield "attn_gate.weight", (model.n_embd, parts.heads(model, il)[0])


def _gate_by_element(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate for each element of attention's output (HRM)."""
    width = parts.heads(model, il)[0] * parts.head_size(model)[0]
    yield "attn_gate.weight", (model.n_embd, width)


def _of_two_stacks(part: Part) -> Part:
    """The part in the blocks of two stacks alone, whose weights all layers have (HRM)."""

    def limited(model: ModelSpec, il: int) -> Iterator[Tensor]:
        if il < 2 * model.integer("hrm.layers_per_stack"):
            yield from part(model, il)

    return limited


def _low_state(model: ModelSpec) -> Iterator[Tensor]:
    """The state that the low stack begins with."""
    yield "hrm.z_l_init", (model.n_embd,)


def _of_chameleon(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {"swin_norm": bool(config.get("swin_norm", False))}


def _of_minicpm(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {
        "embedding_scale": config["scale_emb"],
        "residual_scale": config["scale_depth"] / config["num_hidden_layers"] ** 0.5,
        "logit_scale": config["hidden_size"] / config["dim_model_base"],
    }


def _of_nanbeige(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {
        "num_loops": config.get("num_loops") or 1,
        "skip_loop_final_norm": bool(config.get("skip_loop_final_norm", False)),
    }


def _of_baichuan(config: Config) -> dict[str, Value]:
    found = rotary_width(config)
    if "max_position_embeddings" not in config:
        found["context_length"] = config["model_max_length"]
    return found


def _of_orion(config: Config) -> dict[str, Value]:
    return {"attention.layer_norm_epsilon": config["rms_norm_eps"]}


def _divisible(width: float, unit: int) -> int:
    """OpenELM's own rounding of a width (OpenELMModel._make_divisible)."""
    rounded = max(unit, int(width + unit / 2) // unit * unit)
    return rounded + unit if rounded < 0.9 * width else rounded


def _of_openelm(config: Config) -> dict[str, Value]:
    width, unit = config["model_dim"], config["ffn_dim_divisor"]
    return {
        "context_length": config["max_context_length"],
        "block_count": config["num_transformer_layers"],
        "embedding_length": width,
        "feed_forward_length": tuple(
            _divisible(share * width, unit) for share in config["ffn_multipliers"]
        ),
        "attention.head_count": tuple(config["num_query_heads"]),
        "attention.head_count_kv": tuple(config["num_kv_heads"]),
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": config["head_dim"],
        "rope.freq_base": config["rope_freq_constant"],
    }


def _of_plm(config: Config) -> dict[str, Value]:
    rope = config["qk_rope_head_dim"]
    return {
        "attention.key_length": config["qk_nope_head_dim"] + rope,
        "attention.kv_lora_rank": config["kv_lora_rank"],
        "attention.value_length": config["v_head_dim"],
        "rope.dimension_count": rope,
    }


def _of_plamo(config: Config) -> dict[str, Value]:
    # the converter's own constants, which the config lacks or has wrong
    return {"context_length": 4096, "attention.head_count_kv": 5}


def _of_talkie(config: Config) -> dict[str, Value]:
    # the scale is one of its weights; whatever it is, it takes the same memory
    return {"attention.layer_norm_rms_epsilon": _FLOAT_STEP, "logit_scale": 0.5}


def _of_hrm(config: Config) -> dict[str, Value]:
    stack = config.get("num_layers_per_stack") or config["num_hidden_layers"]
    high, low = config["H_cycles"], config["L_cycles"]
    return rotary_width(config) | {
        "block_count": stack * high * (low + 1),
        "embedding_scale": config["embedding_scale"],
        "hrm.layers_per_stack": stack,
        "hrm.h_cycles": high,
        "hrm.l_cycles": low,
    }


def _of_spark(config: Config) -> dict[str, Value]:
    rope = table(config, "rope_parameters")
    full, windowed = (
        int(config["head_dim"] * table(rope, kind)["partial_rotary_factor"])
        for kind in ("full_attention", "sliding_attention")
    )
    widths = {"rope.dimension_count": full, "rope.dimension_count_swa": windowed}
    return listed_windows(config) | widths


_FLOAT_STEP: Final = 2.0**-23
"""The least step from 1 of a float of 4 bytes."""

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
        name="nanbeige",
        tensors=Tensors(),
        graph=GraphRules(loops=True),
        hugging_face=HuggingFace(model_types=("nanbeige",), translate=_of_nanbeige),
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
        hugging_face=HuggingFace(
            model_types=("openelm",), translate=_of_openelm, defaults={"tie_word_embeddings": True}
        ),
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
        hugging_face=HuggingFace(model_types=("plm",), translate=_of_plm),
    ),
    Family(
        name="plamo",
        tensors=Tensors(every=(parts.norm("attn_norm"),)),
        rope=_WHOLE,
        graph=GraphRules(layer="parallel", parallel_sum="attention_then_residual"),
        hugging_face=HuggingFace(model_types=("plamo",), translate=_of_plamo),
    ),
    Family(
        name="cogvlm",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, _vision_experts),
        ),
        rope=_WHOLE,
        graph=GraphRules(inputs="apart", outputs_at="nowhere"),
        hugging_face=HuggingFace(
            model_types=("cogvlm", "CogVLMForCausalLM"), translate=rotary_width
        ),
    ),
    Family(
        name="chameleon",
        tensors=Tensors(attention=(parts.query_key_value, _norm_each_head)),
        rope=_WHOLE,
        graph=GraphRules(layer="normed_after_if_told", head_norm="layer", hides_images=True),
        hugging_face=HuggingFace(model_types=("chameleon",), translate=_of_chameleon),
    ),
    Family(
        name="talkie",
        tensors=Tensors(every=(), attention=(parts.query_key_value, _query_gain)),
        rope=_WHOLE,
        graph=GraphRules(has_norm_weights=False, qk_norm="rotated", adds_embedding=True),
        output_norm="",
        required=("logit_scale",),
        hugging_face=HuggingFace(model_types=("talkie",), translate=_of_talkie),
    ),
    Family(
        name="hrm_text",
        tensors=Tensors(
            every=(),
            attention=(_of_two_stacks(parts.query_key_value), _of_two_stacks(_gate_by_element)),
            dense=(_of_two_stacks(parts.gated),),
            outside=(_low_state,),
        ),
        rope=Rope(factors="none"),
        graph=GraphRules(layer="stacks", has_norm_weights=False),
        output_norm="",
        required=("hrm.layers_per_stack", "hrm.h_cycles", "hrm.l_cycles"),
        hugging_face=HuggingFace(model_types=("hrm_text",), translate=_of_hrm),
    ),
    Family(
        name="spark2_5",
        tensors=Tensors(attention=(parts.query_key_value, _gate_by_head)),
        windows=Windows(period=4),
        rope=Rope(factors="none"),
        required=("attention.sliding_window", "attention.sliding_window_pattern"),
        hugging_face=HuggingFace(model_types=("spark2_5",), translate=_of_spark),
    ),
)
