"""Heads that draft for another model: EAGLE-3, DFlash, DSpark, and Gemma 4's assistants."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.gemma4 import IS_ASSISTANT, translate_gemma4
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _query(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Query and output projections alone, as wide as the target's layer of the kind."""
    tag = "_swa" if model.per_layer("attention.sliding_window_pattern")[il] else ""
    width, n_head = model.integer(f"attention.key_length{tag}"), parts.heads(model, il)[0]
    yield "attn_q.weight", (model.n_embd, n_head * width)
    yield "attn_q_norm.weight", (width,)
    yield "attn_output.weight", (n_head * width, model.n_embd)
    yield "layer_output_scale.weight", (1,)


def _projections(model: ModelSpec) -> Iterator[Tensor]:
    """From the target's width to the head's, and back."""
    width = model.integer("embedding_length_out")
    yield "nextn.pre_projection.weight", (2 * width, model.n_embd)
    yield "nextn.post_projection.weight", (model.n_embd, width)


def _of_assistant(config: Config) -> dict[str, Value]:
    return translate_gemma4(config) | {
        "embedding_length_out": config[IS_ASSISTANT],
        "nextn_predict_layers": config["num_hidden_layers"],
    }


FAMILIES: Final = (
    Family(
        name="eagle3",
        head="lent",
        graph=GraphRules(drafter="eagle3"),
        hugging_face=HuggingFace(
            model_types=("llama", "LlamaForCausalLMEagle3", "Eagle3LlamaForCausalLM"),
            applies=lambda config: "draft_vocab_size" in config,
        ),
    ),
    Family(
        name="dflash",
        graph=GraphRules(drafter="dflash", norms_shared_v=True),
        windows=Windows(period=1),  # the file lists them, or has none
        rope=Rope(sections="any"),
        hugging_face=HuggingFace(
            model_types=("DFlashDraftModel", "DFlash2DraftModel", "Qwen3DSparkModel"),
        ),
    ),
    Family(
        name="gemma4-assistant",
        tensors=Tensors(every=parts.SANDWICH_NORMS, attention=(_query,), outside=(_projections,)),
        windows=Windows(period=6),
        rope=Rope(factors="full"),
        graph=GraphRules(drafter="assistant"),
        hugging_face=HuggingFace(
            model_types=(
                "gemma4_text",
                "gemma4_unified_text",
                "Gemma4AssistantForCausalLM",
                "Gemma4UnifiedAssistantForCausalLM",
            ),
            applies=lambda config: IS_ASSISTANT in config,
            translate=_of_assistant,
            defaults={"tie_word_embeddings": True},
        ),
        required=("embedding_length_out", "attention.sliding_window_pattern"),
    ),
)
