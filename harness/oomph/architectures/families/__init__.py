"""Every family of models, one file per maker or group, and the family of a name."""

from typing import Final

from oomph.architectures.families import (
    apertus,
    arcee,
    bailing,
    cohere,
    deepseek,
    diffusion,
    dots,
    drafters,
    encoders,
    ernie,
    exaone,
    falcon,
    gemma,
    gemma3n,
    gemma4,
    glm,
    gpt,
    gpt_oss,
    granite,
    grovemoe,
    hunyuan,
    internlm,
    kimi,
    lfm,
    llama,
    mamba,
    minicpm3,
    minimax,
    mistral,
    muse,
    nemotron,
    olmo,
    other_experts,
    others,
    phi,
    plamo3,
    poolside,
    qwen,
    qwen_hybrid,
    rwkv,
    seed,
    smallthinker,
    smollm,
    stablelm,
    starcoder,
    stepfun,
    without_positions,
    xiaomi,
)
from oomph.architectures.family import Family

MODULES: Final = (
    apertus, arcee, bailing, cohere, deepseek, diffusion, dots, drafters, encoders, ernie,
    exaone, falcon, gemma, gemma3n, gemma4, glm, gpt, gpt_oss, granite, grovemoe, hunyuan,
    internlm, kimi, lfm, llama, mamba, minicpm3, minimax, mistral, muse, nemotron, olmo,
    other_experts, others, phi, plamo3, poolside, qwen, qwen_hybrid, rwkv, seed, smallthinker,
    smollm, stablelm, starcoder, stepfun, without_positions, xiaomi,
)  # fmt: skip

FAMILIES: Final[dict[str, Family]] = {
    family.name: family for module in MODULES for family in module.FAMILIES
}
"""By llama.cpp's name of the architecture."""


def family_of(arch: str) -> Family:
    """The family of llama.cpp's architecture `arch`; the general transformer where none is
    declared."""
    return FAMILIES.get(arch) or Family(name=arch, has_known_graph=False)
