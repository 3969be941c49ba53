"""What of a model decides its graphs: all but the types of weights that no backend copies."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from oomph.architectures.adapter import AdapterSpec
from oomph.architectures.spec import ModelSpec
from oomph.estimate.graph.placement import layer_and_part, layer_of
from oomph.gguf.header import TensorInfo

_MULTIPLIED: Final = re.compile(
    r"(?:attn_(?:q|k|v|qkv|output)|ffn_(?:up|down|gate|gate_up)(?:_exps|_chexps|_shexp)?)\.weight$"
)


def is_multiplied(part: str) -> bool:
    """Whether a weight, by its name without the layer, is a matrix that products read and nothing
    else: in no known graph is anything computed with it, or viewed of it."""
    return _MULTIPLIED.match(part) is not None


def layer_contents(
    model: ModelSpec, adapters: Sequence[AdapterSpec]
) -> dict[int, tuple[tuple[str, tuple[int, ...], str], ...]]:
    """For each layer its tensors by name, the adapters' among them: name without the layer,
    dimensions, type."""
    contents: defaultdict[int, list[tuple[str, tuple[int, ...], str]]] = defaultdict(list)
    pairs = (pair for adapter in adapters for pair in adapter.pairs.values())
    for info in (*model.tensors.values(), *(info for pair in pairs for info in (pair.a, pair.b))):
        il, part = layer_and_part(info.name)
        if il is not None:
            contents[il].append((part, info.ne, info.quant.name))
    return {il: tuple(sorted(content)) for il, content in contents.items()}


def structure_of(model: ModelSpec) -> object:
    """What a model's graphs are made of: its numbers, its tensors' names and shapes, and the types
    that decide where a node runs or what is copied although the layers lie on cards."""
    numbers = sorted(
        (key, str(value))
        for key, value in model.metadata.items()
        if key.startswith(f"{model.arch}.")
    )
    tensors = tuple(
        (info.name, info.ne, info.quant.name if _decides(info) else "")
        for info in model.tensors.values()
    )
    return model.arch, tuple(numbers), tensors


def _decides(info: TensorInfo) -> bool:
    """Whether a tensor's type may matter wherever the layers lie: CUDA gathers no rows of MXFP4 of
    some widths, and what is in no layer may lie on the host and be copied, but for the tables that
    rows are gathered from and the output."""
    is_outside = layer_of(info.name) is None
    is_table = info.name.endswith("token_embd.weight") or info.name == "output.weight"
    return info.quant.name == "MXFP4" or (is_outside and not is_table)
