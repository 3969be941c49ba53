"""Every family of models, one file per maker or group, and the family of a name."""

from typing import Final

from oomph.architectures.families import (
    arcee,
    bailing,
    cohere,
    deepseek,
    dots,
    encoders,
    ernie,
    exaone,
    falcon,
    gemma,
    gemma3n,
    gemma4,
    glm,
    gpt_oss,
    granite,
    hunyuan,
    internlm,
    kimi,
    lfm,
    llama,
    mamba,
    minimax,
    mistral,
    nemotron,
    olmo,
    phi,
    qwen,
    qwen_hybrid,
    rwkv,
    seed,
    smollm,
    stablelm,
    starcoder,
    without_positions,
)
from oomph.architectures.family import Family

MODULES: Final = (
    arcee, bailing, cohere, deepseek, dots, encoders, ernie, exaone, falcon, gemma, gemma3n,
    gemma4, glm, gpt_oss, granite, hunyuan, internlm, kimi, lfm, llama, mamba, minimax, mistral,
    nemotron, olmo, phi, qwen, qwen_hybrid, rwkv, seed, smollm, stablelm, starcoder,
    without_positions,
)  # fmt: skip

FAMILIES: Final[dict[str, Family]] = {
    family.name: family for module in MODULES for family in module.FAMILIES
}
"""By llama.cpp's name of the architecture."""


def family_of(arch: str) -> Family:
    """The family of llama.cpp's architecture `arch`; the general transformer where none is
    declared."""
    return FAMILIES.get(arch) or Family(name=arch, has_known_graph=False)
