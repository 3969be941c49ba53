"""Google's Gemma 4: heads of two widths, shared caches, experts beside a dense part."""

from collections.abc import Iterator
from typing import Any, Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config, listed_windows, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Narrower heads in layers with a window, no K and V where another layer's cache is read.

    Models whose layers have different KV heads use K as V in the layers without a window.
    """
    windows = model.per_layer("attention.sliding_window_pattern")
    counts = model.per_layer("attention.head_count_kv")
    (n_head, n_head_kv), n_embd = parts.heads(model, il), model.n_embd
    head = model.integer("attention.key_length_swa" if windows[il] else "attention.key_length")
    yield "attn_q.weight", (n_embd, n_head * head)
    yield "attn_q_norm.weight", (head,)
    yield "attn_output.weight", (n_head * head, n_embd)
    yield "layer_output_scale.weight", (1,)
    if il < model.n_layer - model.integer("attention.shared_kv_layers", 0):
        yield "attn_k.weight", (n_embd, n_head_kv * head)
        yield "attn_k_norm.weight", (head,)
        if windows[il] or len(set(counts)) == 1:
            yield "attn_v.weight", (n_embd, n_head_kv * head)


def _experts_beside_dense(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Experts, gate and up in one, beside the dense feed-forward, each with norms of its own."""
    n_embd, n_expert, n_ff = model.n_embd, model.n_expert, parts.expert_width(model)
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        yield f"{name}.weight", (n_embd,)
    yield "ffn_gate_inp.weight", (n_embd, n_expert)
    yield "ffn_gate_inp.scale", (n_embd,)
    yield "ffn_gate_up_exps.weight", (n_embd, 2 * n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, n_embd, n_expert)
    yield "ffn_down_exps.scale", (n_expert,)


IS_ASSISTANT: Final = "backbone_hidden_size"
"""The key that the config of a head that drafts for a Gemma 4 has, and a Gemma 4's own has not."""


def _of_full_layers(config: Config, at_top: str, name: str) -> Any:
    """A number of the layers without a window, at the top or layer by layer."""
    if config.get(at_top) is not None:
        return config[at_top]
    own = table(config, "per_layer_config")
    kinds = config["layer_types"]
    return next(
        (
            layer[name]
            for il, layer in own.items()
            if kinds[int(il)] == "full_attention" and name in layer
        ),
        None,
    )


def translate_gemma4(config: Config) -> dict[str, Value]:
    """The keys of a Gemma 4, and of what is made like one."""
    n_layer, shared = config["num_hidden_layers"], config["num_kv_shared_layers"]
    rope = table(config, "rope_parameters")
    head, full = config["head_dim"], _of_full_layers(config, "global_head_dim", "head_dim")
    narrow = table(rope, "sliding_attention")
    found = listed_windows(config) | {
        "attention.shared_kv_layers": shared,
        "attention.key_length": full,
        "attention.value_length": full,
        "attention.key_length_swa": head,
        "attention.value_length_swa": head,
        "embedding_length_per_layer_input": config.get("hidden_size_per_layer_input") or 0,
        "rope.dimension_count": full,
        "rope.dimension_count_swa": int(head * rope.get("partial_rotary_factor", 1.0)),
        "rope.freq_base_swa": narrow.get("rope_theta", 1e4),
    }
    width = config.get("expert_intermediate_size", config.get("moe_intermediate_size"))
    if width is not None:
        found["expert_feed_forward_length"] = width
    if config.get("use_double_wide_mlp"):
        n_ff = config["intermediate_size"]
        found["feed_forward_length"] = tuple(
            n_ff if il < n_layer - shared else 2 * n_ff for il in range(n_layer)
        )
    few = _of_full_layers(config, "num_global_key_value_heads", "num_key_value_heads")
    many = config.get("num_key_value_heads")
    if few is not None and many is not None:
        found["attention.head_count_kv"] = tuple(
            many if kind == "sliding_attention" else few for kind in config["layer_types"]
        )
    return found


FAMILIES: Final = (
    Family(
        name="gemma4",
        tensors=Tensors(
            every=(*parts.SANDWICH_NORMS, parts.per_layer_gate()),
            attention=(_attention,),
            experts=(parts.gated, _experts_beside_dense),
            outside=(parts.per_layer_table(),),
        ),
        windows=Windows(period=6),
        rope=Rope(factors="full"),
        graph=GraphRules(
            norms_v=True,
            scales_embedding=True,
            scales_tokens_alone=True,
            softcaps_logits=True,
            outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(
            model_types=("gemma4_text", "gemma4_unified_text"),
            applies=lambda config: IS_ASSISTANT not in config,
            translate=translate_gemma4,
            defaults={"tie_word_embeddings": True},
        ),
    ),
)
