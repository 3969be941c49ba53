"""T5: an encoder and a decoder that looks at what it made of the input, or the encoder alone."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.errors import UnknownNameError
from oomph.gguf.header import Value

_BUCKETS: Final = "attention.relative_buckets_count"


_MODEL_TYPES: Final = ("t5", "mt5", "umt5", "T5EncoderModel")


def _encodes(config: Config) -> bool:
    return "T5EncoderModel" in (config.get("architectures") or ())


def _translate(config: Config) -> dict[str, Value]:
    if not str(config.get("feed_forward_proj", "relu")).startswith("gated"):
        raise UnknownNameError(
            "a T5 without a gate in its feed-forward is sized by its own file; give its GGUF, or "
            "hf:owner/repo/FILE.gguf, of which the header is read"
        )
    n_decoding = config.get("num_decoder_layers")
    found: dict[str, Value] = {
        _BUCKETS: config["relative_attention_num_buckets"],
        "attention.head_count": config["num_heads"],
        "attention.head_count_kv": config["num_heads"],
        "attention.key_length": config["d_kv"],
        "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
        "attention.value_length": config["d_kv"],
        "context_length": config.get("n_positions", 512),
        "embedding_length": config["d_model"],
        "feed_forward_length": config["d_ff"],
    }
    if n_decoding is not None and not _encodes(config):
        found["decoder_block_count"] = n_decoding
    return found


def _attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Attention, and in the first layer the table of distances that all use."""
    for name, ne in parts.query_key_value(model, il):
        yield name.replace("attn_output", "attn_o"), ne
    if il == 0:
        yield "attn_rel_b.weight", (parts.heads(model, il)[0], model.integer(_BUCKETS))


def _cross_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Attention over the encoder's output."""
    for name, ne in parts.query_key_value(model, il):
        yield f"cross_{name}".replace("attn_output", "attn_o"), ne


def _encoder(model: ModelSpec) -> Iterator[Tensor]:
    """The encoder beside the decoder."""
    for il in range(model.n_layer):
        for part in (_NORMS, _attention, parts.gated):
            for name, ne in part(model, il):
                yield f"enc.blk.{il}.{name}", ne
    yield "enc.output_norm.weight", (model.n_embd,)


_NORMS: Final = parts.norm("attn_norm", "ffn_norm")
_GRAPH: Final = GraphRules(layer="crossed", activation="relu")

FAMILIES: Final = (
    Family(
        name="t5",
        tensors=Tensors(
            every=(_NORMS, parts.norm("cross_attn_norm")),
            attention=(_attention, _cross_attention),
            outside=(_encoder,),
        ),
        rope=Rope(layers="none"),
        graph=_GRAPH,
        blocks="dec.blk",
        output_norm="dec.output_norm",
        caches_idle=True,
        loaded_of_heads=("",),
        hugging_face=HuggingFace(
            model_types=_MODEL_TYPES,
            applies=lambda config: not _encodes(config),
            translate=_translate,
            defaults={"tie_word_embeddings": True},
        ),
        required=(_BUCKETS,),
    ),
    Family(
        name="t5encoder",
        tensors=Tensors(attention=(_attention,)),
        rope=Rope(layers="none"),
        graph=_GRAPH,
        blocks="enc.blk",
        output_norm="enc.output_norm",
        reads_cache=False,
        head="idle",
        hugging_face=HuggingFace(
            model_types=_MODEL_TYPES,
            applies=_encodes,
            translate=_translate,
            defaults={"tie_word_embeddings": True},
        ),
        required=(_BUCKETS,),
    ),
)
