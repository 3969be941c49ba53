"""The same model in other quantizations: its tensors as llama-quantize would write them.

Stands apart from the catalogue, which builds a model from its published shape: a file in hand names
its own tensors.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from oomph.architectures.catalogue import catalogue_models, is_catalogued
from oomph.architectures.quantize import Quantizer
from oomph.architectures.spec import ModelSpec
from oomph.gguf.file_types import FILE_TYPES

USUAL: Final = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K")
"""What is published of most models, the truest first."""


RARE: Final = frozenset({"F32", "TQ1_0", "TQ2_0"})
"""Nobody runs a model in F32, and ternary types are for models that were trained so."""


def published_variants(name: str, *, rare: bool = False) -> list[ModelSpec]:
    """A published model in the usual quantizations, the largest first; with `rare` in every one
    that it makes sense in."""
    chosen = [
        quantization
        for quantization in FILE_TYPES
        if (quantization not in RARE if rare else quantization in (*USUAL, "MXFP4"))
    ]
    models = list(catalogue_models(name, chosen))
    fitting = [model for model in models if model.is_moe or quantization_of(model) != "MXFP4"]
    return sorted(fitting, key=lambda model: model.n_bytes, reverse=True)


def quantization_of(model: ModelSpec) -> str | None:
    """llama.cpp's name of the model's file type, None where the header does not say (or says
    another's number); of a published name what stands in it."""
    if named := _named(model):
        return named.partition(":")[2].partition("@")[0]
    number = model.metadata.get("general.file_type")
    return next((name for name, (known, _) in FILE_TYPES.items() if known == number), None)


def smaller_variants(model: ModelSpec) -> Iterator[tuple[str, ModelSpec]]:
    """The usual quantizations that take less than the model as it is, the truest first.

    None of a model that is published in four-bit floats only: llama-quantize leaves its experts as
    they are.
    """
    own = model.n_bytes
    if any(tensor.quant.name in ("MXFP4", "NVFP4") for tensor in model.tensors.values()):
        return
    for quantization, variant in zip(USUAL, _requantized(model, USUAL), strict=True):
        if variant.n_bytes < own:
            yield quantization, variant


def _named(model: ModelSpec) -> str | None:
    """`name:QUANT` of a model of the catalogue, None of any other."""
    name, colon, _ = model.source.partition(":")
    is_named = colon and model.file_bytes is None and is_catalogued(name)
    return model.source if is_named else None


def requantized(model: ModelSpec, quantization: str) -> ModelSpec:
    """`model` in another quantization: of the catalogue if it is from there, else its own tensors
    with other types."""
    return next(_requantized(model, (quantization,)))


def _requantized(model: ModelSpec, quantizations: Iterable[str]) -> Iterator[ModelSpec]:
    """The same in each of the quantizations."""
    if named := _named(model):
        yield from catalogue_models(named.partition(":")[0], quantizations)
        return
    own = model.tensors.values()
    quantizer = Quantizer(model, [(tensor.name, tensor.ne) for tensor in own])
    for quantization in quantizations:
        types = quantizer.types(quantization)
        tensors = {tensor.name: replace(tensor, quant=types[tensor.name]) for tensor in own}
        yield replace(model, tensors=tensors, file_bytes=None)


def are_one_model(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether two files are of one model: the same numbers and tensors, in whatever types."""
    return (
        one.arch == other.arch
        and [(each.name, each.ne) for each in one.tensors.values()]
        == [(each.name, each.ne) for each in other.tensors.values()]
        and _numbers(one) == _numbers(other)
    )


def _numbers(model: ModelSpec) -> dict[str, object]:
    """What the header says of the architecture."""
    return {key: n for key, n in model.metadata.items() if key.startswith(f"{model.arch}.")}
