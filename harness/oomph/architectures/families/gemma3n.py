"""Google's Gemma 3n: alternating updates of four residual streams, embeddings for each layer."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors, Windows
from oomph.architectures.hf_keys import Config, listed_windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value

N_ALTUP: Final = 4
"""Residual streams (hparams.n_altup); no key tells."""
LAUREL_RANK: Final = 64
"""Rank of the side path; no key tells."""
PER_LAYER_WIDTH: Final = 256
"""Width of a layer's embedding where no key tells it."""


def _altup(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Alternating updates and the low-rank side path."""
    n_embd = model.n_embd
    yield "altup_correct_coef.weight", (N_ALTUP, N_ALTUP)
    yield "altup_correct_scale.weight", (n_embd,)
    yield "altup_predict_coef.weight", (N_ALTUP, N_ALTUP * N_ALTUP)
    yield "altup_router.weight", (n_embd, N_ALTUP)
    yield "altup_router_norm.weight", (n_embd,)
    yield "laurel_l.weight", (n_embd, LAUREL_RANK)
    yield "laurel_r.weight", (LAUREL_RANK, n_embd)
    yield "laurel_post_norm.weight", (n_embd,)


def _altup_projections(model: ModelSpec) -> Iterator[Tensor]:
    """The projections between the token embedding and the other residual streams."""
    for name in ("altup_proj", "altup_unembd_proj"):
        yield f"{name}.weight", (model.n_embd, model.n_embd, N_ALTUP - 1)


def _translate(config: Config) -> dict[str, Value]:
    found = listed_windows(config) | {
        "vocab_size": config["vocab_size_per_layer_input"],
        "attention.shared_kv_layers": config["num_kv_shared_layers"],
        "embedding_length_per_layer_input": config["hidden_size_per_layer_input"],
    }
    if config.get("rope_local_base_freq") is not None:
        found["rope.freq_base_swa"] = config["rope_local_base_freq"]
    return found


FAMILIES: Final = (
    Family(
        name="gemma3n",
        tensors=Tensors(
            every=(*parts.SANDWICH_NORMS, _altup, parts.per_layer_gate(PER_LAYER_WIDTH)),
            attention=parts.NORMED_ATTENTION,
            outside=(parts.per_layer_table(PER_LAYER_WIDTH), _altup_projections),
        ),
        windows=Windows(period=5),
        graph=GraphRules(
            layer="altup",
            shares_kv_from=20,
            norms_v=True,
            scales_embedding=True,
            scales_tokens_alone=True,
            softcaps_logits=True,
        ),
        hugging_face=HuggingFace(
            model_types=("gemma3n_text",),
            translate=_translate,
            defaults={"rope_theta": 1e6, "tie_word_embeddings": True},
        ),
    ),
)
