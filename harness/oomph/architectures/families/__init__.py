"""Every family of models, one file per maker or group, and the family of a name."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Final

from oomph.architectures.family import Family

FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "alibi": ("bloom", "mpt", "refact"),
    "apertus": ("apertus",),
    "arcee": ("arcee", "afmoe"),
    "bailing": ("bailingmoe", "bailingmoe2", "bailingmoe3"),
    "cohere": ("command-r", "cohere2", "cohere2moe"),
    "deepseek": ("deepseek", "deepseek2-ocr", "deepseek2", "mistral4", "deepseek32", "deepseek4"),
    "diffusion": ("llada", "llada-moe", "dream", "rnd1"),
    "dots": ("dots1", "dots3note"),
    "drafters": ("eagle3", "dflash", "gemma4-assistant"),
    "encoders": (
        "bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert",
        "neo-bert", "eurobert", "gemma-embedding",
    ),
    "ernie": ("ernie4_5", "paddleocr", "ernie4_5-moe"),
    "exaone": ("exaone", "exaone4", "exaone-moe"),
    "falcon": ("falcon", "falcon-h1"),
    "gemma": ("gemma", "gemma2", "gemma3"),
    "gemma3n": ("gemma3n",),
    "gemma4": ("gemma4",),
    "glm": ("chatglm", "glm4", "glm4moe", "glm-dsa", "glm5-next"),
    "gpt": ("gpt2", "gptneox", "jais", "jais2", "codeshell"),
    "gpt_oss": ("gpt-oss",),
    "granite": ("granite", "granitemoe", "granitehybrid", "granite_swa", "graniteswitch"),
    "grovemoe": ("grovemoe",),
    "hunyuan": ("hunyuan-dense", "hunyuan_vl", "hunyuan-moe", "hy_v3", "hy_v4"),
    "internlm": ("internlm2",),
    "kimi": ("kimi-linear", "kimi-k3"),
    "lfm": ("lfm2", "lfm2moe"),
    "llama": ("llama", "llama-embed", "llama4"),
    "mamba": ("mamba", "mamba2", "jamba"),
    "minicpm3": ("minicpm3",),
    "minimax": ("minimax-01", "minimax-m2", "minimax-m3"),
    "mistral": ("mistral3",),
    "muse": ("muse-glimmer",),
    "nemotron": ("nemotron", "deci", "nemotron_h", "nemotron_h_moe"),
    "olmo": ("olmo", "olmoe", "olmo2"),
    "other_experts": ("mellum", "dbrx", "grok", "arctic", "maple"),
    "others": (
        "baichuan", "minicpm", "nanbeige", "maincoder", "pangu-embedded", "orion", "xverse",
        "openelm", "bitnet", "plm", "plamo", "cogvlm", "chameleon", "talkie", "hrm_text",
        "spark2_5",
    ),
    "phi": ("phi2", "phi3", "phimoe"),
    "plamo2": ("plamo2",),
    "plamo3": ("plamo3",),
    "poolside": ("laguna",),
    "qwen": ("qwen", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "qwen2vl", "qwen3vl", "qwen3vlmoe"),
    "qwen_hybrid": ("qwen3next", "qwen35", "qwen35moe", "qwen4exp"),
    "rwkv": ("rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7"),
    "seed": ("seed_oss",),
    "smallthinker": ("smallthinker",),
    "smollm": ("smollm3",),
    "stablelm": ("stablelm",),
    "starcoder": ("starcoder", "starcoder2"),
    "stepfun": ("step35",),
    "t5": ("t5", "t5encoder"),
    "xiaomi": ("mimo2",),
}  # fmt: skip
"""The architectures that each file declares: it is imported when one of them is asked for."""


class _Families(Mapping[str, Family]):
    """Every family by its name, from its file when it is asked for."""

    def __init__(self) -> None:
        self._files = {name: file for file, names in FILES.items() for name in names}
        self._read: dict[str, Family] = {}

    def __getitem__(self, name: str) -> Family:
        if name not in self._read:
            declared = import_module(f"{__name__}.{self._files[name]}").FAMILIES
            self._read |= {family.name: family for family in declared}
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


FAMILIES: Final[Mapping[str, Family]] = _Families()
"""By llama.cpp's name of the architecture."""


@cache
def family_of(arch: str) -> Family:
    """The family of llama.cpp's architecture `arch`; the general transformer where none is
    declared."""
    return FAMILIES.get(arch) or Family(name=arch, has_known_graph=False)
