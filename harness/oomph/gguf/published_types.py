"""Quantizations as files are published: llama-quantize's own, mixes of it, and others' types.

`read_quantization` takes what stands in a file's name or after the colon of `owner/repo:QUANT` and
says by which of llama-quantize's file types it is sized: exactly, by a published recipe, or as the
nearest, to which the size of the file must be given.
"""

import re
from typing import Final

from oomph.errors import UnknownNameError
from oomph.frozen import frozen
from oomph.gguf.file_types import FILE_TYPES, canonical_quantization
from oomph.patterns import late_pattern


@frozen
class Quantization:
    """What is written as `name`: llama-quantize's file type `base`, embeddings and output in `ends`
    where a recipe says so. `foreign` says what it is where no recipe is published: then `base` is
    only the nearest, and only a file's size sizes it."""

    name: str
    base: str
    ends: str | None = None
    foreign: str = ""


_LARGER_ENDS: Final = {
    "Q2_K_L": "Q2_K",
    "Q3_K_XL": "Q3_K_L",
    "Q4_K_L": "Q4_K_M",
    "Q5_K_L": "Q5_K_M",
    "Q6_K_L": "Q6_K",
}
"""bartowski's: the file type with embeddings and output in Q8_0 ("Embed/output weights" of
https://huggingface.co/bartowski/Qwen2.5-32B-Instruct-GGUF)."""

_UNSLOTH: Final = late_pattern(r"(I?Q\d)_([A-Z0-9]+)_XL|(I?Q\d_[A-Z0-9_]+|TQ\d_0|BF16|F16)")
_UNSLOTH_BASES: Final = {"Q2_K": "Q2_K", "Q6_K": "Q6_K", "Q8_K": "Q8_0"}

_IK_BASES: Final = {
    "IQ1_KT": "IQ1_M", "IQ2_K": "IQ2_S", "IQ2_KS": "IQ2_XS", "IQ2_KT": "IQ2_XXS",
    "IQ2_KL": "Q2_K", "IQ3_K": "IQ3_S", "IQ3_KS": "IQ3_XXS", "IQ3_KT": "IQ3_XXS",
    "IQ3_KL": "IQ3_M",
    "IQ4_K": "IQ4_NL", "IQ4_KS": "IQ4_XS", "IQ4_KSS": "IQ4_XS", "IQ4_KT": "IQ4_XS",
    "IQ5_K": "Q5_K_M", "IQ5_KS": "Q5_K_S", "IQ6_K": "Q6_K", "IQ1_S_R4": "IQ1_S",
    "Q6_0": "Q6_K", "Q8_KV": "Q8_0",
}  # fmt: skip
"""ik_llama.cpp's types with the nearest of llama.cpp by bits per weight."""

_PATTERN: Final = (
    r"(?:UD|I1)?[-_]?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ[12]_0|B?F16|FP16|F32|FP32"
    r"|MXFP4(?:[_ ]MOE)?|NVFP4)(?:_R[48])?"
)
_WHOLE: Final = late_pattern(_PATTERN, re.IGNORECASE)
_AT_END: Final = late_pattern(rf"(?:^|[-_.:@ ])({_PATTERN})$", re.IGNORECASE)
_SPOKEN: Final = late_pattern(r"\s*-\s*(?:small|medium|large|[\d.]+ bpw)$", re.IGNORECASE)

OTHER_PROGRAMS: Final = {
    "awq": "AWQ",
    "gptq": "GPTQ",
    "exl2": "EXL2 (ExLlama's)",
    "exl3": "EXL3 (ExLlama's)",
    "mlx": "MLX (Apple's)",
    "bnb": "bitsandbytes",
    "nf4": "bitsandbytes NF4",
    "fp8": "FP8 (vLLM's and SGLang's)",
    "int4": "INT4 (vLLM's)",
    "int8": "INT8 (vLLM's)",
    "w4a16": "W4A16 (compressed-tensors)",
    "w8a8": "W8A8 (compressed-tensors)",
    "autoround": "AutoRound",
    "hqq": "HQQ",
    "aqlm": "AQLM",
    "onnx": "ONNX",
    "openvino": "OpenVINO",
    "4bit": "a 4-bit checkpoint (MLX or bitsandbytes)",
    "8bit": "an 8-bit checkpoint (MLX or bitsandbytes)",
    "bpw": "EXL2 or EXL3 (ExLlama's)",
}
"""Words in names of files that llama.cpp does not load, and what they are."""


def other_program(text: str) -> str | None:
    """What a name's words say of another program's format, None where they say nothing."""
    words = re.split(r"[^a-z0-9.]+", re.sub(r"[\d.]+bpw", "bpw", text.lower()))
    words += re.split(r"[^a-z0-9]+", text.lower().replace("4-bit", "4bit").replace("8-bit", "8bit"))
    return next((OTHER_PROGRAMS[word] for word in words if word in OTHER_PROGRAMS), None)


def is_quantization(text: str) -> bool:
    """Whether a text has the form of a quantization's name, and nothing else."""
    return bool(_WHOLE.fullmatch(text))


def split_quantization(text: str) -> tuple[str, str | None]:
    """A name without the quantization at its end, and that: `("gemma-3-27b-it", "Q4_K_M")`."""
    if _SPOKEN.search(text):
        head, _, last = _SPOKEN.sub("", text).rpartition(" ")
        return (head, text[len(head) :].strip()) if _WHOLE.fullmatch(last) else (text, None)
    match = _AT_END.search(text)
    return (text[: match.start()], match[1]) if match else (text, None)


def read_quantization(text: str) -> Quantization:
    """What `text` says, in any usual spelling; UnknownNameError for what nobody publishes."""
    name = re.sub(r"[\s-]+", "_", text.strip()).upper().removeprefix("I1_")
    if (plain := re.sub(r"_R[48]$", "", name)) in _IK_BASES:
        what = "a type of ik_llama.cpp, which llama.cpp does not load"
        return Quantization(name=name, base=_IK_BASES[plain], foreign=what)
    if name in _LARGER_ENDS:
        return Quantization(name=name, base=_LARGER_ENDS[name], ends="Q8_0")
    if name == "NVFP4":
        what = "a type without a common recipe: which tensors have it differs from file to file"
        return Quantization(name=name, base="IQ4_NL", foreign=what)
    if base := _unsloth_base(name.removeprefix("UD_"), is_named=name.startswith("UD_")):
        what = "Unsloth's dynamic mix, which differs from model to model"
        return Quantization(name=f"UD-{name.removeprefix('UD_')}", base=base, foreign=what)
    kind = canonical_quantization(text.strip().removeprefix("i1-"))
    return Quantization(name=kind, base=kind)


def _unsloth_base(name: str, *, is_named: bool) -> str | None:
    """The file type nearest to one of Unsloth's mixes; None for what is none of them."""
    if not (match := _UNSLOTH.fullmatch(name)) or not (match[1] or is_named):
        return None
    if match[1]:
        kind = f"{match[1]}_{match[2]}"
        kind = _UNSLOTH_BASES.get(kind, f"{kind}_M")
    else:
        kind = match[3]
    try:
        return canonical_quantization(kind)
    except UnknownNameError:
        return None


def published_names() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What can be sized by name, what by a published recipe, and what by its file's size alone."""
    sized = ("UD-Q4_K_XL", "UD-IQ2_XXS", "NVFP4", *_IK_BASES)
    return tuple(FILE_TYPES), tuple(_LARGER_ENDS), sized
