"""The longest context as a table over quantization, experts and cache type.

Stands apart from `oomph.advise.max_context`, which finds the contexts.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from oomph.advise.max_context import ContextLimits
from oomph.architectures.rope import Positions
from oomph.units import GIB, NOT_MEASURED, count
from oomph.views.language import NBSP, render_text, respell, words_of
from oomph.views.table import Cell, Table, number


def max_context_text(
    model: str,
    cards: Sequence[tuple[int, str]],
    positions: Positions,
    found: Sequence[ContextLimits],
    language: str,
    *,
    is_input: bool = False,
) -> str:
    """What the table says, in sentences: the model's own context, and how to read the columns;
    `cards` are how many of which, `is_input` whether a context is one input of an embedding."""
    ran = [each for each in found if each.ran_n_ctx]
    return render_text(
        "max_context",
        language,
        model=model,
        cards=cards,
        positions=positions,
        is_input=is_input,
        splits=_splits(found, language),
        limit=max(each.limit for each in found),
        is_capped=any(r.sure_n_ctx == r.limit for r in found),
        has_records=bool(ran),
        backends=sorted({str(each.ran_backend) for each in ran}),
    )


def _splits(found: Sequence[ContextLimits], language: str) -> list[str]:
    """The splits that the contexts need, each once with what it is of."""
    told: dict[str, list[str]] = {}
    for each in found:
        if each.tensor_split and each.sure_n_ctx:
            split = ",".join(f"{share:g}" for share in each.tensor_split)
            told.setdefault(split, []).append(
                f"{each.quantization or ''} KV {each.type_kv}".strip()
            )
    words = words_of(language, "max_context")["split"]
    return [words.format(split=split, names=", ".join(names)) for split, names in told.items()]


def max_context_table(model: str, found: Sequence[ContextLimits], language: str) -> Table:
    """A row for each quantization and number of experts, three columns for each cache type."""
    words = words_of(language, "max_context")
    cells = words["cells"]
    caches = tuple(dict.fromkeys(each.type_kv for each in found))
    rows: dict[tuple[str | None, int | None], list[ContextLimits]] = {}
    for each in found:
        rows.setdefault((each.quantization, each.n_expert_used), []).append(each)
    return Table(
        caption=model,
        columns=(*words["columns"], *(cell.format(kind) for kind in caches for cell in cells)),
        rows=tuple(_row(found, language) for found in rows.values()),
    )


def context_limits_json(each: ContextLimits, positions: Positions) -> dict[str, Any]:
    """One combination for programs; contexts in tokens, 0 where none fits, None where no record
    tells."""
    return asdict(each) | {
        "native_context": positions.native,
        "extended_context": positions.extended,
    }


def _row(found: Sequence[ContextLimits], language: str) -> tuple[Cell, ...]:
    first = found[0]
    cells = [
        Cell(first.quantization or NOT_MEASURED),
        number(first.weights_bytes, digits=1, unit=GIB),
        number(first.n_expert_used),
        *(cell for each in found for cell in _cells(each, language)),
    ]
    return tuple(
        cell
        if cell.key is None
        else Cell(respell(cell.text, language).replace(NBSP, " "), cell.key)
        for cell in cells
    )


def _cells(each: ContextLimits, language: str) -> tuple[Cell, ...]:
    predicted, none = (each.sure_n_ctx, each.even_n_ctx), words_of(language, "max_context")["none"]
    return (
        *(Cell(_reached(n, each.limit) if n else none, n or -1) for n in predicted),
        number(each.ran_n_ctx),
    )


def _reached(n_ctx: int, limit: int) -> str:
    """A context, with a sign where the search ended before the memory did."""
    return f"≥{count(n_ctx)}" if n_ctx == limit else count(n_ctx)
