"""Heads that draft for another model by its features: EAGLE-3, DFlash 1 and 2, DSpark."""

from typing import Final

from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Windows

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
)
