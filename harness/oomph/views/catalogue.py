"""The catalogue of models as tables, lines and JSON: what can be asked about without a file."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from oomph.advise.quantizations import published_variants
from oomph.architectures.catalogue import Entry, catalogue_entries, catalogue_model
from oomph.architectures.names import read_name
from oomph.architectures.spec import ModelSpec
from oomph.errors import UnknownNameError
from oomph.gguf.published_types import published_names
from oomph.units import GIB
from oomph.views.facts import inspect_lines, native_context
from oomph.views.table import Cell, Table, number

USUAL: Final = "Q4_K_M"


def chosen_entries(name: str | None) -> list[Entry]:
    """The one model that `name` names in any spelling, or all of which names or architectures begin
    so; None is every one. UnknownNameError with what is near."""
    entries = list(catalogue_entries())
    if name is None:
        return entries
    found = read_name(name)
    if found.model:
        return [entry for entry in entries if entry.name == found.model]
    wanted = name.strip().lower()
    many = [entry for entry in entries if entry.name.startswith(wanted) or entry.arch == wanted]
    if wanted and many:
        return many
    near = f"; did you mean {' or '.join(found.near)}?" if found.near else ""
    raise UnknownNameError(f"{name} is no model of the catalogue (`oomph models` lists it){near}")


def models_table(entries: Sequence[Entry]) -> Table:
    """Models by family, a row each."""
    families = list(dict.fromkeys(entry.arch for entry in entries))
    rows = tuple(
        _model_row(entry, catalogue_model(entry.name, USUAL))
        for entry in sorted(entries, key=lambda entry: families.index(entry.arch))
    )
    columns = ("family", "model", "10⁹ weights", "experts", "context", f"{USUAL} GiB", "also")
    return Table(caption=f"{len(rows)} models without a file", columns=columns, rows=rows)


def _model_row(entry: Entry, model: ModelSpec) -> tuple[Cell, ...]:
    experts = f"{model.n_expert_used} of {model.n_expert}" if model.is_moe else "—"
    return (
        Cell(entry.arch),
        Cell(entry.name),
        number(_weights(model), digits=2, unit=1e9),
        Cell(experts),
        number(native_context(model)),
        number(model.n_bytes, digits=2, unit=GIB),
        Cell(", ".join(entry.also) or "—"),
    )


def _weights(model: ModelSpec) -> int:
    return sum(tensor.n_elements for tensor in model.tensors.values())


def entry_lines(entry: Entry) -> Iterator[str]:
    """One model: its shape, its page and its other names."""
    for line in inspect_lines(catalogue_model(entry.name, USUAL)):
        yield f"{line} ({USUAL})" if line.startswith("weights:") else line
    yield f"as published: {entry.page}"
    if entry.also:
        yield f"also called {', '.join(entry.also)}"
    yield f"Ollama's tag without a quantization is taken as {entry.ollama}"


def quantizations_table(entry: Entry) -> Table:
    """Weights of one model in every quantization that its name alone sizes, the largest first."""
    variants = [*published_variants(entry.name, rare=True)]
    variants += [catalogue_model(entry.name, mix) for mix in published_names()[1]]
    rows = tuple(
        (
            Cell(model.source),
            number(model.n_bytes, digits=2, unit=GIB),
            number(8 * model.n_bytes / max(_weights(model), 1), digits=2),
        )
        for model in sorted(variants, key=lambda model: model.n_bytes, reverse=True)
    )
    return Table(caption="Weights", columns=("name", "GiB", "bits each"), rows=rows)


def sizing_lines() -> Iterator[str]:
    """Which quantizations a name sizes, and which need the size of the file."""
    plain, mixes, by_size = published_names()
    yield f"quantizations, as llama-quantize makes them: {', '.join(plain)}"
    yield f"mixes whose recipe is published (embeddings and output in Q8_0): {', '.join(mixes)}"
    yield f"with --file-size SIZE, fitted to the file: {', '.join(by_size)} and their like"


def entry_json(entry: Entry, *, is_all: bool) -> dict[str, Any]:
    """What is known of one model, for programs; sizes in bytes by quantization, of all of them or
    of the usual one."""
    model = catalogue_model(entry.name, USUAL)
    variants = published_variants(entry.name, rare=True) if is_all else [model]
    return {
        "name": entry.name,
        "arch": entry.arch,
        "page": entry.page,
        "also": list(entry.also),
        "ollama_quantization": entry.ollama,
        "n_weights": _weights(model),
        "n_expert": model.n_expert,
        "n_expert_used": model.n_expert_used,
        "n_ctx_native": native_context(model),
        "weights_bytes": {each.source.partition(":")[2]: each.n_bytes for each in variants},
    }
