"""A model's tensors in types that sum to the size of a file whose own types are not known.

Takes the nearest quantization and moves tensors to the next larger or smaller type, spread over the
layers, until their bytes are the file's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError
from oomph.gguf.ggml_types import QUANTS, QuantType
from oomph.gguf.header import TensorInfo
from oomph.units import GIB, parse_size, size

_LADDER: Final = tuple(
    QUANTS[name]
    for name in (
        "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS", "Q4_K",
        "Q4_0", "Q5_K", "Q5_0", "Q6_K", "Q8_0", "F16",
    )
)  # fmt: skip
"""Types by bits per weight; those in blocks of 32 are for rows that 256 does not divide."""

MOST_APART: Final = 1.6
"""How many times larger or smaller than the nearest quantization a file may be: Unsloth's mixes of
small models take up to half as much again (UD-IQ2_XXS)."""
_GOLDEN: Final = 0.6180339887498949


def sized(model: str, file_size: int | str | None) -> str:
    """`model` with the size of its file, where that is said, in one word for `read_model`."""
    return model if file_size is None else with_file_size(model, _read_size(file_size))


def _read_size(said: int | str) -> int:
    """The size of a file in bytes: a number of them, or text (`18.2GiB`, `19.5 GB`, a bare number
    of MiB). ConfigError for what is none."""
    try:
        n_bytes = parse_size(said) if isinstance(said, str) else said
    except (ValueError, OverflowError):
        n_bytes = 0
    if isinstance(n_bytes, bool) or not 0 < n_bytes < 1 << 50:
        raise ConfigError(f"the size of a file is {said!r}; give it as 18.2GiB or 19.5GB")
    return n_bytes


_SIZED: Final = re.compile(r"(?P<name>.+)@(?P<size>[\d.]+ ?(?:[KMG]i?)?B)", re.IGNORECASE)


def split_file_size(reference: str) -> tuple[str, int | None]:
    """A model's name without the size that may stand behind it, and that in bytes:
    `qwen3.6-27b:UD-Q4_K_XL@16.68GiB`, which is how one word says both."""
    match = _SIZED.fullmatch(reference)
    return (match["name"], _read_size(match["size"])) if match else (reference, None)


def with_file_size(name: str, file_bytes: int) -> str:
    """What `split_file_size` splits, to the byte."""
    short = next((f"{file_bytes / GIB:.{n}f}" for n in (1, 2) if _is_exact(file_bytes, n)), None)
    return f"{name}@{short}GiB" if short else f"{name}@{file_bytes}B"


def _is_exact(file_bytes: int, digits: int) -> bool:
    return round(float(f"{file_bytes / GIB:.{digits}f}") * GIB) == file_bytes


def fitted_to_file(model: ModelSpec, file_bytes: int) -> ModelSpec:
    """`model` with tensors of other types, whose bytes sum to `file_bytes` but for what no tensor
    is small enough to fill (well below 0.1 % of it).

    The file's header, some MiB, is counted as weights, and the embedding, which stays in the host's
    memory, changes last: both on the safe side. ConfigError for a size that is not near the
    model's.
    """
    tensors = dict(model.tensors)
    total = sum(tensor.n_bytes for tensor in tensors.values())
    if not total / MOST_APART <= file_bytes <= total * MOST_APART:
        raise ConfigError(
            f"--file-size is {size(file_bytes)}, and {model.source} takes about {size(total)}; "
            "give the size of the whole file (of all parts, without a projector)"
        )
    up = file_bytes > total
    while (missing := abs(file_bytes - sum(t.n_bytes for t in tensors.values()))) > 0:
        moved = _one_round(tensors, missing, up=up)
        if not moved:
            break
        tensors |= moved
    return replace(model, tensors=tensors)


def _one_round(
    tensors: Mapping[str, TensorInfo], missing: int, *, up: bool
) -> dict[str, TensorInfo]:
    """Tensors that move by one type, none by more, until `missing` bytes are found."""
    moved: dict[str, TensorInfo] = {}
    for tensor in _spread(tensors):
        quant = _next_type(tensor, up=up)
        if quant is None:
            continue
        changed = replace(tensor, quant=quant)
        step = abs(changed.n_bytes - tensor.n_bytes)
        if 0 < step <= missing:
            moved[tensor.name], missing = changed, missing - step
    return moved


def _spread(tensors: Mapping[str, TensorInfo]) -> Iterator[TensorInfo]:
    """Quantized tensors, the layers in an order that has no side; what a publisher keeps as it is
    (MXFP4) and the embedding last."""

    def rank(tensor: TensorInfo) -> tuple[bool, bool, float, int]:
        layer = int(tensor.name.split(".")[1]) if tensor.name.startswith("blk.") else 0
        is_end = not tensor.name.startswith("blk.")
        return is_end, tensor.quant.name == "MXFP4", layer * _GOLDEN % 1, -tensor.n_bytes

    quantized = (tensor for tensor in tensors.values() if tensor.quant.is_quantized)
    yield from sorted(quantized, key=rank)


def _next_type(tensor: TensorInfo, *, up: bool) -> QuantType | None:
    """The nearest type on the ladder with more (or fewer) bits that fits the tensor's rows."""
    own = tensor.quant.bits_per_weight
    fitting = [
        quant
        for quant in _LADDER
        if tensor.ne[0] % quant.block == 0 and (quant.bits_per_weight - own) * (1 if up else -1) > 0
    ]
    return min(fitting, key=lambda q: abs(q.bits_per_weight - own), default=None)
