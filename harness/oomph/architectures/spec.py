"""What a model is, for the estimator: its architecture, its numbers, its tensors.

One type whatever the source: the header of a GGUF file, a published shape of the catalogue, or a
Hugging Face config. The rest of the package never asks where a spec came from; it reads llama.cpp's
own metadata keys through `hparam` and the tensors through `tensors`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oomph.errors import ModelFileError
from oomph.gguf.header import GGUFFile, SkippedArray, TensorInfo, Value, read_gguf

MAX_BLOCKS: Final = 512
"""Blocks that llama.cpp has room for (LLAMA_MAX_LAYERS)."""
MAX_COUNT: Final = (1 << 32) - 1
"""The largest count or width that GGUF's own keys can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model's facts: `metadata` under GGUF's full keys, `tensors` by name in file order.

    `source` is what the user named (path, URL, catalogue name); `file_bytes` is None where there is
    no file.
    """

    name: str
    arch: str
    metadata: Mapping[str, Value]
    tensors: Mapping[str, TensorInfo]
    source: str
    file_bytes: int | None = None
    notes: tuple[str, ...] = ()

    def hparam(self, key: str, default: int | float | None = None) -> int | float:
        """The scalar `{arch}.{key}`; `default` where it is absent, ModelFileError where there is
        none either."""
        value = self.metadata.get(f"{self.arch}.{key}", default)
        if isinstance(value, tuple) and value:
            value = max(value)
        if not isinstance(value, int | float):
            raise ModelFileError(
                f"{self.source}: metadata key {self.arch}.{key} is missing or no number; is the "
                "file complete?"
            )
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """`hparam` as an int: counts and widths, so nothing negative, fractional or absurdly
        large."""
        return self._whole(key, self.hparam(key, default))

    def _whole(self, key: str, value: int | float) -> int:
        if not 0 <= value <= MAX_COUNT or value != int(value):  # a comparison with NaN is false
            raise ModelFileError(
                f"{self.source}: metadata key {self.arch}.{key} is {value}, which no model has"
            )
        return int(value)

    def per_layer(self, key: str, default: int | None = None) -> tuple[int, ...]:
        """`{arch}.{key}` for each layer: an array as it is, a scalar repeated `n_layer` times."""
        value = self.metadata.get(f"{self.arch}.{key}")
        if isinstance(value, tuple):
            if len(value) < self.n_layer:
                raise ModelFileError(
                    f"{self.source}: {self.arch}.{key} has {len(value)} items for {self.n_layer} "
                    "layers"
                )
            return tuple(self._whole(key, item) for item in value[: self.n_layer])
        return (self.integer(key, default),) * self.n_layer

    @property
    def kv_heads(self) -> tuple[int, ...]:
        """KV heads of each layer: as many as query heads where no key tells."""
        if f"{self.arch}.attention.head_count_kv" in self.metadata:
            return self.per_layer("attention.head_count_kv")
        return self.per_layer("attention.head_count", 0)

    @property
    def n_layer(self) -> int:
        """Blocks in the file, multi-token-prediction ones included (llama.cpp's block_count)."""
        return self.integer("block_count")

    @property
    def n_embd(self) -> int:
        """Width of the residual stream."""
        return self.integer("embedding_length")

    @property
    def n_ctx_train(self) -> int:
        """Tokens of context the model was trained for, as its metadata says (native context)."""
        return self.integer("context_length")

    @property
    def n_vocab(self) -> int:
        """Rows of the token embedding; llama.cpp takes the tokenizer's list, which has the same
        length."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, SkippedArray):
            return tokens.count
        if embedding := self.tensors.get("token_embd.weight"):
            return embedding.ne[1]
        return self.integer("vocab_size")

    @property
    def n_expert(self) -> int:
        """Routed experts in a layer; 0 for a dense model."""
        return self.integer("expert_count", 0)

    @property
    def n_expert_used(self) -> int:
        """Experts active for a token by the file's own metadata; 0 for a dense model."""
        return self.integer("expert_used_count", 0)

    @property
    def is_moe(self) -> bool:
        """Whether any layer routes tokens to experts."""
        return self.n_expert > 0


def spec_from_gguf(file: GGUFFile, *, source: str | None = None) -> ModelSpec:
    """The facts of a header; ModelFileError where it names no architecture or lacks a key that all
    have."""
    arch = file.metadata.get("general.architecture")
    if not isinstance(arch, str) or not arch:
        raise ModelFileError(
            f"{file.name}: metadata key general.architecture is missing; is this a model and not "
            "a LoRA or vocabulary?"
        )
    name = file.metadata.get("general.name")
    spec = ModelSpec(
        name=name if isinstance(name, str) and name else Path(file.name).stem,
        arch=arch,
        metadata=file.metadata,
        tensors={tensor.name: tensor for tensor in file.tensors},
        source=source or file.name,
        file_bytes=file.file_bytes,
    )
    for key, most in _checked_counts(spec):
        if not 1 <= spec.integer(key) <= most:
            raise ModelFileError(
                f"{file.name}: {arch}.{key} is {spec.integer(key)}, which no model has"
            )
    embedding = spec.tensors.get("token_embd.weight")
    if embedding and embedding.ne[0] != spec.n_embd:
        raise ModelFileError(
            f"{file.name}: {arch}.embedding_length is {spec.n_embd}, and token_embd.weight is "
            f"{embedding.ne[0]} wide"
        )
    return spec


def _checked_counts(spec: ModelSpec) -> Iterator[tuple[str, int]]:
    """Keys that must be at least 1, and their most; a model without attention may have no heads."""
    yield from (
        ("block_count", MAX_BLOCKS),
        ("embedding_length", MAX_COUNT),
        ("context_length", MAX_COUNT),
    )
    if any("attn_output" in name for name in spec.tensors):
        yield "attention.head_count", MAX_COUNT
    for key in ("attention.key_length", "attention.value_length", "ssm.group_count"):
        if f"{spec.arch}.{key}" in spec.metadata:
            yield key, MAX_COUNT


def read_model_file(path: Path | str) -> ModelSpec:
    """The facts of the GGUF file at `path`, from its header alone; ModelFileError says what is
    wrong with it."""
    return spec_from_gguf(read_gguf(path), source=str(path))
