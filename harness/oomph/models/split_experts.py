"""Splits a dense model's feed-forward into experts: a real, small MoE.

Stands apart because it is the only place that rewrites weights. It makes a model on which quality
against active experts is real and can be measured on a laptop: with all experts active the split
model computes what the dense one did, and with fewer it loses neurons, the least wanted first.
Nothing is requantized. The rows of `ffn_gate` and `ffn_up` are dealt out in order, `ffn_down` is
cut along its columns, between quantized blocks, and its scales are multiplied by the number of
experts, because llama.cpp normalises the weights of the chosen experts to sum 1 (`build_moe_ffn`,
norm_w). That factor is a power of two, so the product is exact in f16.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import gguf
from oomph.architectures.from_gguf import spec_from_gguf
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.files import replacing
from oomph.gguf.header import GGUFFile, TensorInfo, read_gguf

ROUTER_SCALE: Final = 1e-3
"""Length of a router row: the ranking of experts is kept, their softmax weights differ by well
under 1 %."""

SCALE_OFFSETS: Final[dict[str, tuple[int, ...]]] = {
    "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,), "IQ4_NL": (0,),
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
}  # fmt: skip
"""Byte offsets of the f16 factors in a block that scale all its weights (ggml/src/ggml-common.h).
"""

_FLOATS: Final = ("F32", "F16", "BF16")
_REWRITTEN: Final = ("ffn_gate", "ffn_up", "ffn_down")

NewTensor = tuple[str, NDArray[Any], gguf.GGMLQuantizationType]


def split_experts(
    source: Path | str, target: Path | str, *, n_expert: int = 8, name: str | None = None
) -> Path:
    """Write the dense model `source` to `target` with every feed-forward split into `n_expert`
    experts, all active.

    Raises ModelFileError, naming key or tensor, for a file that is not a dense llama-architecture
    model or whose types or widths cannot be cut; StoreError where it cannot be written. `target`
    appears complete or not at all.
    """
    source, target = Path(source), Path(target)
    file = read_gguf(source)
    spec = spec_from_gguf(file, source=str(source))
    _check_file(file, spec, n_expert)
    for layer in range(spec.n_layer):
        _check_layer(spec, layer, n_expert)
    reader = gguf.GGUFReader(source)
    with replacing(target) as part:
        writer = gguf.GGUFWriter(part, spec.arch)
        _add_metadata(writer, reader, spec, n_expert=n_expert, name=name)
        for tensor in reader.tensors:
            for new_name, array, quant in _split_tensor(tensor, n_expert):
                writer.add_tensor(new_name, array, raw_dtype=quant)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return target


def _check_file(file: GGUFFile, spec: ModelSpec, n_expert: int) -> None:
    if file.n_parts > 1:
        raise ModelFileError(
            f"{spec.source} comes in {file.n_parts} parts; join them with llama-gguf-split --merge"
        )
    if file.big_endian:
        raise ModelFileError(
            f"{spec.source} is big-endian; convert it to little-endian before splitting"
        )
    if spec.arch != "llama":
        raise ModelFileError(
            f"{spec.source}: general.architecture is {spec.arch!r}; only a 'llama' model can be "
            "split"
        )
    if spec.is_moe:
        raise ModelFileError(
            f"{spec.source}: llama.expert_count is {spec.n_expert}; it has experts already, use "
            "it as it is"
        )
    if n_expert < 2 or n_expert & (n_expert - 1):
        raise ModelFileError(
            f"n_expert is {n_expert}; give a power of two, so that scaling by it is exact"
        )


def _check_layer(spec: ModelSpec, layer: int, n_expert: int) -> None:
    n_ff = spec.integer("feed_forward_length")
    for part in _REWRITTEN:
        tensor = spec.tensors.get(f"blk.{layer}.{part}.weight")
        if tensor is None:
            raise ModelFileError(
                f"{spec.source}: blk.{layer}.{part}.weight is missing; is this a dense model?"
            )
        if f"blk.{layer}.{part}.bias" in spec.tensors:
            raise ModelFileError(
                f"{spec.source}: blk.{layer}.{part} has a bias, which experts of 'llama' have not"
            )
        if tensor.quant.name not in (*_FLOATS, *SCALE_OFFSETS):
            raise ModelFileError(
                f"{tensor.name} in {spec.source} is {tensor.quant.name}; {_known_types()}"
            )
        _check_width(spec, tensor, n_ff, n_expert)


def _check_width(spec: ModelSpec, tensor: TensorInfo, n_ff: int, n_expert: int) -> None:
    rows_or_columns, block = (
        (tensor.ne[0], tensor.quant.block) if "ffn_down" in tensor.name else (tensor.ne[1], 1)
    )
    if rows_or_columns != n_ff or n_ff % (n_expert * block):
        raise ModelFileError(
            f"{spec.source}: {tensor.name} is {rows_or_columns} wide and cannot be cut into "
            f"{n_expert} equal experts"
            f" of whole {tensor.quant.name} blocks; use fewer experts or a type with smaller blocks"
        )


def _known_types() -> str:
    return (
        f"only {', '.join((*_FLOATS, *SCALE_OFFSETS))} can be split; requantize it with "
        "llama-quantize"
    )


def _add_metadata(
    writer: gguf.GGUFWriter,
    reader: gguf.GGUFReader,
    spec: ModelSpec,
    *,
    n_expert: int,
    name: str | None,
) -> None:
    """The split model's own keys, and all others of the source.

    Strings stay bytes, since a vocabulary may hold invalid UTF-8; the alignment is the writer's
    default.
    """
    width = spec.integer("feed_forward_length") // n_expert
    writer.add_string("general.name", name or f"{spec.name}-{n_expert}x{width}")
    writer.add_string(
        "general.description", f"{spec.name}: each feed-forward split into {n_expert} experts"
    )
    writer.add_uint32(f"{spec.arch}.feed_forward_length", width)
    writer.add_uint32(f"{spec.arch}.expert_count", n_expert)
    writer.add_uint32(f"{spec.arch}.expert_used_count", n_expert)
    own = {*writer.kv_data[0], "general.alignment"}
    for key, field in reader.fields.items():
        if key in own or key.startswith("GGUF."):
            continue
        kind = field.types[0]
        if kind is gguf.GGUFValueType.ARRAY:
            # the writer refuses an empty array, which llama.cpp takes for an absent one
            if field.data:
                writer.add_key_value(key, _items(field), kind, field.types[-1])
        elif kind is gguf.GGUFValueType.STRING:
            writer.add_key_value(key, field.parts[-1].tobytes(), kind)
        else:
            writer.add_key_value(key, field.contents(), kind)


def _items(field: gguf.ReaderField) -> Sequence[Any]:
    if field.types[-1] is gguf.GGUFValueType.STRING:
        return [field.parts[index].tobytes() for index in field.data]
    items: list[Any] = field.contents()
    return items


def _split_tensor(tensor: gguf.ReaderTensor, n_expert: int) -> Iterator[NewTensor]:
    """What `tensor` becomes: itself, or its experts, with the layer's router beside the gate."""
    stem, _, part = tensor.name.removesuffix(".weight").rpartition(".")
    quant, data = tensor.tensor_type, tensor.data
    if part not in _REWRITTEN:
        yield tensor.name, data, quant
        return
    if part == "ffn_gate":
        yield (
            f"{stem}.ffn_gate_inp.weight",
            router(gguf.dequantize(data, quant), n_expert),
            gguf.GGMLQuantizationType.F32,
        )
    split = cut_columns(data, n_expert) if part == "ffn_down" else cut_rows(data, n_expert)
    if part == "ffn_down":
        split = scale_weights(split, quant.name, n_expert)
    yield f"{stem}.{part}_exps.weight", split, quant


def cut_rows(data: NDArray[Any], n_expert: int) -> NDArray[Any]:
    """Rows [n_ff, row] dealt out in order: [n_expert, n_ff / n_expert, row], no byte changed."""
    return data.reshape(n_expert, data.shape[0] // n_expert, data.shape[1])


def cut_columns(data: NDArray[Any], n_expert: int) -> NDArray[Any]:
    """Columns (whole blocks) of [n_embd, row] dealt out in order: [n_expert, n_embd, row /
    n_expert]."""
    pieces = data.reshape(data.shape[0], n_expert, data.shape[1] // n_expert)
    return np.ascontiguousarray(pieces.transpose(1, 0, 2))


def scale_weights(data: NDArray[Any], quant: str, factor: int) -> NDArray[Any]:
    """The stored weights times `factor`, a power of two: exact, since only scales (or exponents)
    change.

    `data` is as the gguf package has it: float32 or float16 values, or bytes of blocks (BF16: of
    pairs). Raises ModelFileError where a scale would leave the range of its type.
    """
    if quant in ("F32", "F16"):
        scaled = data * data.dtype.type(factor)
        _check_finite(scaled, quant)
        return np.asarray(scaled, dtype=data.dtype)
    if quant == "BF16":
        wide = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32) * np.float32(factor)
        _check_finite(wide, quant)
        return (wide.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[quant]][1]
    blocks = data.reshape(-1, block_bytes).copy()
    for offset in SCALE_OFFSETS[quant]:
        scales = np.ascontiguousarray(blocks[:, offset : offset + 2]).view(np.float16) * np.float16(
            factor
        )
        _check_finite(scales, quant)
        blocks[:, offset : offset + 2] = scales.view(np.uint8)
    return blocks.reshape(data.shape)


def _check_finite(scales: NDArray[Any], quant: str) -> None:
    if not np.isfinite(scales).all():
        raise ModelFileError(
            f"a scale of ffn_down leaves the range of {quant}; split a model of another type"
        )


def router(gate: NDArray[np.float32], n_expert: int) -> NDArray[np.float32]:
    """Router rows [n_expert, n_embd]: each expert's mean gate direction, normalised, times
    ROUTER_SCALE.

    `gate` is ffn_gate in float32, [n_ff, n_embd]. A token whose activation points along an expert's
    mean gate row opens that expert's neurons widest, so it ranks first; the weights stay nearly
    equal, as in the dense sum.
    """
    means = cut_rows(gate, n_expert).mean(axis=1)
    lengths = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(ROUTER_SCALE * means / lengths, dtype=np.float32)
