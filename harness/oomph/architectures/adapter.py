"""What a LoRA adapter is: a pair of narrow matrices for each tensor that it changes.

Refused where llama.cpp would refuse it (llama_adapter_lora_init_impl of src/llama-adapter.cpp).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError, ModelFileError
from oomph.frozen import frozen
from oomph.gguf.header import GGUFFile, TensorInfo, read_gguf
from oomph.gguf.other_files import kind_of_header

_A: Final = ".lora_a"
_B: Final = ".lora_b"
EMBEDDING: Final = "token_embd.weight"
"""The one matrix whose rows are looked up: its adapter lies the other way around."""


@frozen
class LoraPair:
    """The matrices of one product: `a` narrows its input to the adapter's rank, `b` widens it
    again."""

    a: TensorInfo
    b: TensorInfo


@frozen
class AdapterSpec:
    """An adapter's facts: `pairs` by the name of the model's tensor. `source` is what the user
    named."""

    name: str
    arch: str
    pairs: Mapping[str, LoraPair]
    source: str

    @property
    def rank(self) -> int:
        """The largest rank of a pair; 0 for an adapter without one."""
        return max((pair.b.ne[0] for pair in self.pairs.values()), default=0)

    @property
    def n_bytes(self) -> int:
        """The matrices' data."""
        return sum(pair.a.n_bytes + pair.b.n_bytes for pair in self.pairs.values())


def adapter_from_gguf(file: GGUFFile, *, source: str | None = None) -> AdapterSpec:
    """The facts of an adapter's header; ModelFileError for a file that is none, or that llama.cpp
    refuses whatever the model."""
    metadata, said = file.metadata, source or file.name
    arch = metadata.get("general.architecture")
    kind, adapter = metadata.get("general.type"), metadata.get("adapter.type")
    if kind != "adapter" or adapter != "lora":
        what = kind_of_header(metadata) or f"a model (architecture {arch!r})"
        raise ModelFileError(
            f"{said} is no LoRA adapter but {what.partition(',')[0]}; --lora takes what "
            "convert_lora_to_gguf writes"
        )
    found: dict[str, dict[str, TensorInfo]] = {}
    for tensor in file.tensors:
        name, mark = tensor.name[: -len(_A)], tensor.name[-len(_A) :]
        if mark in (_A, _B):
            found.setdefault(name, {})[mark] = tensor
        elif not tensor.name.endswith("_norm.weight"):  # which llama.cpp skips
            raise ModelFileError(
                f"{said}: llama.cpp refuses this adapter: tensor {tensor.name!r} has an unexpected "
                "suffix"
            )
    if lonely := next((name for name, pair in found.items() if len(pair) < 2), None):
        raise ModelFileError(
            f"{said}: llama.cpp refuses this adapter: one matrix of the pair for {lonely!r} is "
            "missing"
        )
    return AdapterSpec(
        name=str(metadata.get("general.name") or Path(file.name).stem),
        arch=str(arch),
        pairs={name: LoraPair(a=pair[_A], b=pair[_B]) for name, pair in sorted(found.items())},
        source=said,
    )


def read_adapter_file(path: Path | str) -> AdapterSpec:
    """The facts of the adapter at `path`, from its header alone."""
    return adapter_from_gguf(read_gguf(path), source=str(path))


def check_adapter(adapter: AdapterSpec, model: ModelSpec) -> None:
    """ConfigError, one sentence, where llama.cpp would not put the adapter on this model."""
    if adapter.arch != model.arch:
        raise ConfigError(
            f"{adapter.source} is an adapter of architecture {adapter.arch!r}, and {model.name} is "
            f"{model.arch!r}: llama.cpp refuses the two together"
        )
    for name, pair in adapter.pairs.items():
        info = model.tensors.get(name)
        if info is None:
            raise ConfigError(
                f"{adapter.source} changes {name}, which {model.name} does not have: it is an "
                "adapter of another model"
            )
        if name == EMBEDDING:
            fits = info.ne[:2] == (pair.b.ne[1], pair.a.ne[1])
        else:
            fits = info.ne[:2] == (pair.a.ne[0], pair.b.ne[1]) and pair.a.ne[1] == pair.b.ne[0]
        if not fits:
            raise ConfigError(
                f"{adapter.source} changes {name} of {pair.a.ne[0]} x {pair.b.ne[1]}, and that of "
                f"{model.name} is {info.ne[0]} x {info.ne[1]}: it is an adapter of another model"
            )
