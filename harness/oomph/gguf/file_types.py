"""llama.cpp's file types: what a user means by a quantization (`Q4_K_M`).

Stands apart from `quants` because a file type is a recipe and not a format: most tensors of a
`Q4_K_M` file are of the type Q4_K, some of Q6_K and F32 (`oomph.architectures.quantize` says
which).

Numbers: `enum llama_ftype` in llama.cpp's `include/llama.h`; default types:
`llama_ftype_get_default_type`.
"""

import difflib
import re
from typing import Final

from oomph.errors import UnknownNameError

FILE_TYPES: Final[dict[str, tuple[int, str]]] = {
    "F32": (0, "F32"), "F16": (1, "F16"), "BF16": (32, "BF16"), "Q8_0": (7, "Q8_0"), "Q4_0": (2,
    "Q4_0"),
    "Q4_1": (3, "Q4_1"), "Q5_0": (8, "Q5_0"), "Q5_1": (9, "Q5_1"), "Q2_K": (10, "Q2_K"),
    "Q2_K_S": (21, "Q2_K"),
    "Q3_K_S": (11, "Q3_K"), "Q3_K_M": (12, "Q3_K"), "Q3_K_L": (13, "Q3_K"), "Q4_K_S": (14, "Q4_K"),
    "Q4_K_M": (15, "Q4_K"), "Q5_K_S": (16, "Q5_K"), "Q5_K_M": (17, "Q5_K"), "Q6_K": (18, "Q6_K"),
    "IQ1_S": (24, "IQ1_S"), "IQ1_M": (31, "IQ1_M"), "IQ2_XXS": (19, "IQ2_XXS"), "IQ2_XS": (20,
    "IQ2_XS"),
    "IQ2_S": (28, "IQ2_XS"), "IQ2_M": (29, "IQ2_S"), "IQ3_XXS": (23, "IQ3_XXS"), "IQ3_XS": (22,
    "IQ3_S"),
    "IQ3_S": (26, "IQ3_S"), "IQ3_M": (27, "IQ3_S"), "IQ4_NL": (25, "IQ4_NL"), "IQ4_XS": (30,
    "IQ4_XS"),
    "TQ1_0": (36, "TQ1_0"), "TQ2_0": (37, "TQ2_0"), "MXFP4": (38, "MXFP4"),
}  # fmt: skip
"""llama.cpp's file types: their number (`general.file_type`) and the type that most tensors get."""

_ALIASES: Final = {
    "MXFP4_MOE": "MXFP4",
    "Q2_K_M": "Q2_K",
    "Q3_K": "Q3_K_M",
    "Q4_K": "Q4_K_M",
    "Q5_K": "Q5_K_M",
    "FP16": "F16",
}


def canonical_quantization(name: str) -> str:
    """llama.cpp's name of a file type, from any usual spelling (`q4_k_m`, `Q4_K - Medium`, `MXFP4
    MoE`).

    UnknownNameError, listing the nearest, for a name that llama-quantize does not have.
    """
    text = re.sub(
        r"\s*-\s*(Small|Medium|Large)$",
        lambda match: "_" + match[1][0],
        name.strip(),
        flags=re.IGNORECASE,
    )
    text = re.sub(r"\s*-\s*[\d.]+ bpw$", "", text).upper().replace(" ", "_").replace("-", "_")
    text = _ALIASES.get(text, text)
    if text not in FILE_TYPES:
        nearest = difflib.get_close_matches(text, FILE_TYPES, n=5, cutoff=0.3) or list(FILE_TYPES)
        raise UnknownNameError(
            f"no quantization is called {name!r}; the nearest are {', '.join(nearest)}"
        )
    return text
