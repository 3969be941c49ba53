"""Writes a GGUF file of any shape that llama.cpp loads: sparse, or with random weights.

Stands apart because it turns a ModelSpec back into a file. A sparse one has a hole for its data: a
few MB on disk, yet llama.cpp allocates for it what the published model takes, so memory is real.
Random weights make speed real too. The vocabulary is invented (the 256 byte tokens and numbered
ones), of the right length.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, Literal

import numpy as np

import gguf
from oomph.architectures.spec import TOKEN_TYPES, ModelSpec
from oomph.errors import ConfigError, ModelFileError
from oomph.files import replacing
from oomph.gguf.ggml_types import QUANTS
from oomph.gguf.header import SkippedArray, TensorInfo, Value
from oomph.models.random_weights import random_chunks
from oomph.units import gib

Weights = Literal["sparse", "random"]

_BYTE_TOKENS: Final = 256
_EXPECTED_TOKENS: Final = ("<unk>", "<s>", "</s>", "<|endoftext|>")
"""Tokens that llama.cpp looks up without asking in a model whose name has phi-3 in it
(llama-vocab.cpp)."""

_NORMAL, _CONTROL = 1, 3
_TOKENS: Final = "token_embd.weight"
"""What a file with a vocabulary has, and a projector or an adapter has not."""
_OWN_KEYS: Final = ("tokenizer.", "split.", "general.architecture", "general.alignment", "GGUF.")
"""Metadata that is the written file's own, whatever file the spec is from."""

_LABELS: Final = ".classifier.output_labels"
"""Strings of which llama.cpp counts how many scores a reranker gives."""

_WANTED: Final[Mapping[str, Mapping[str, float]]] = {
    "apertus": {
        "xielu.alpha_n": 0.8,
        "xielu.alpha_p": 0.8,
        "xielu.beta": 0.5,
        "xielu.eps": -1e-6,
    },
}
"""Numbers that llama.cpp wants of an architecture, and on which no memory depends."""
_WIDE: Final = (".ple.layer_multipliers", ".ple.head_offsets", ".ple.head_vocab_sizes")
"""Arrays of which llama.cpp takes uint64 alone."""

_ALIGNMENT: Final = 32
SHARED_BYTES: Final = 512 * 1024**2
"""From this size on several processes make the weights: a core makes about 1 GB/s, and starting one
takes a second."""

Placed = tuple[int, int, TensorInfo]
"""A tensor with its number and the byte of the file at which its data begin."""


def write_synthetic(
    spec: ModelSpec, path: Path | str, *, weights: Weights = "sparse", seed: int = 0
) -> Path:
    """Write `spec` to `path` with its metadata, its tensors and an invented vocabulary; returns the
    path.

    `weights="random"` fills the data, in bounded memory and the same for the same `seed`; "sparse"
    leaves a hole that reads as zeros. StoreError where the file cannot be written, ModelFileError
    where the disk has no room for it, ConfigError for types that GGUF does not have or that random
    weights cannot be made in; `path` appears complete or not at all.
    """
    path = Path(path)
    if foreign := sorted({tensor.quant.name for tensor in spec.tensors.values()} - set(QUANTS)):
        raise ConfigError(
            f"{spec.source}: GGUF has no {foreign[0]} weights; take one of llama.cpp's "
            "quantizations"
        )
    with replacing(path) as part:
        if weights == "random":
            _check_room(spec, path)
        _write_header(spec, part)
        _write_data(spec, part, random=weights == "random", seed=seed)
    return path


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT


def _check_room(spec: ModelSpec, path: Path) -> None:
    needed = sum(_aligned(tensor.n_bytes) for tensor in spec.tensors.values())
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise ModelFileError(
            f"{path}: random weights take {gib(needed)} and the disk has {gib(free)} free; write "
            "a sparse file instead"
        )


def _write_header(spec: ModelSpec, path: Path) -> None:
    writer = gguf.GGUFWriter(None, spec.arch)
    _add_metadata(writer, dict(_WANTED.get(spec.arch, {})) | dict(spec.metadata))
    if _TOKENS in spec.tensors or f"{spec.arch}.vocab_size" in spec.metadata:
        _add_vocabulary(writer, spec.n_vocab)
    if isinstance(n_types := spec.metadata.get(TOKEN_TYPES), int):
        writer.add_token_type_count(n_types)
    for tensor in spec.tensors.values():
        writer.add_tensor_info(
            tensor.name,
            tensor.ne[::-1],
            np.dtype(np.float32),
            tensor.n_bytes,
            raw_dtype=gguf.GGMLQuantizationType[tensor.quant.name],
        )
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def _add_metadata(writer: gguf.GGUFWriter, metadata: Mapping[str, Value]) -> None:
    for key, value in metadata.items():
        if key.endswith(_LABELS) and isinstance(value, SkippedArray):
            writer.add_array(key, [f"label {i}" for i in range(value.count)])
        if key.startswith(_OWN_KEYS) or isinstance(value, SkippedArray):
            continue
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value) if 0 <= value < 1 << 32 else writer.add_int64(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif key.endswith(_WIDE):
            kind = gguf.GGUFValueType
            writer.add_key_value(key, list(value), kind.ARRAY, sub_type=kind.UINT64)
        else:
            writer.add_array(key, list(value))


def _add_vocabulary(writer: gguf.GGUFWriter, n_vocab: int) -> None:
    """A byte-level BPE vocabulary that tokenises any text into bytes; the last token begins and
    ends it."""
    tokens = [*_byte_tokens(), *_EXPECTED_TOKENS]
    tokens += [f"<t{i}>" for i in range(len(tokens), n_vocab)]
    last = n_vocab - 1
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens[:n_vocab])
    writer.add_token_types([_NORMAL] * last + [_CONTROL])
    writer.add_token_merges(["t h"])  # llama.cpp refuses a BPE vocabulary without merges
    writer.add_bos_token_id(last)
    writer.add_eos_token_id(last)
    writer.add_add_bos_token(False)


def _byte_tokens() -> list[str]:
    """GPT-2's spelling of the 256 bytes: printable ones as they are, others past U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in printable] + [
        chr(256 + n) for n in range(_BYTE_TOKENS - len(printable))
    ]


def _write_data(spec: ModelSpec, path: Path, *, random: bool, seed: int) -> None:
    with path.open("r+b") as file:
        position = _aligned(file.seek(0, os.SEEK_END))
        placed: list[Placed] = []
        for number, tensor in enumerate(spec.tensors.values()):
            placed.append((number, position, tensor))
            position += _aligned(tensor.n_bytes)
        file.truncate(position)
    if random:
        _fill(path, placed, seed)


def _fill(path: Path, placed: list[Placed], seed: int) -> None:
    """Random weights for every tensor, by as many processes as there are cores where that pays."""
    cores = len(os.sched_getaffinity(0))
    if cores == 1 or sum(tensor.n_bytes for _, _, tensor in placed) < SHARED_BYTES:
        fill_tensors(path, placed, seed)
        return
    largest_first = sorted(placed, key=lambda each: -each[2].n_bytes)
    with ProcessPoolExecutor(
        cores, mp_context=get_context("spawn")
    ) as pool:  # a fork would copy locks that threads hold
        for done in [pool.submit(fill_tensors, path, [each], seed) for each in largest_first]:
            done.result()


def fill_tensors(path: Path, placed: Iterable[Placed], seed: int) -> None:
    """Write random weights of these tensors into the file, each from numbers of its own: the same
    whoever writes it."""
    with path.open("r+b") as file:
        for number, position, tensor in placed:
            file.seek(position)
            for chunk in random_chunks(
                tensor, np.random.Generator(np.random.SFC64([seed, number]))
            ):
                file.write(chunk)
