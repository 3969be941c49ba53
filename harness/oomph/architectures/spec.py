"""What a model is, for the estimator: its architecture, its numbers, its tensors.

One type whatever the source: the header of a GGUF file, a published shape of the catalogue, or a
Hugging Face config. The rest of the package never asks where a spec came from; it reads llama.cpp's
own metadata keys through `hparam` and the tensors through `tensors`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from oomph.errors import ModelFileError
from oomph.frozen import frozen
from oomph.gguf.header import SkippedArray, TensorInfo, Value

TOKEN_TYPES: Final = "tokenizer.ggml.token_type_count"
"""The key of the kinds of tokens that BERT tells apart, which is under no architecture."""
MAX_COUNT: Final = (1 << 32) - 1
"""The largest count or width that GGUF's own keys can hold."""


@frozen
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
        # a comparison with NaN is false; in JavaScript true is not 1, but 1 - true is 0
        if not 0 <= value <= MAX_COUNT or int(value) - value != 0:
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

    @cached_property
    def n_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors.values())

    @cached_property
    def tensor_kinds(self) -> Sequence[TensorInfo]:
        """One tensor of each kind: layers repeat those of one name, type and dimensions."""
        found: dict[object, TensorInfo] = {}
        for name, tensor in self.tensors.items():
            part = name.split(".", 2)[-1] if name.startswith("blk.") else name
            found.setdefault((part, tensor.quant.name, tensor.ne), tensor)
        return list(found.values())

    @property
    def is_moe(self) -> bool:
        """Whether any layer routes tokens to experts."""
        return self.n_expert > 0
