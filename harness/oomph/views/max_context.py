"""The longest context as a table over quantization, experts and cache type.

Stands apart from `oomph.advise.max_context`, which finds the contexts.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from oomph.advise.max_context import Reach
from oomph.architectures.rope import Positions
from oomph.units import GIB, NOT_MEASURED, count
from oomph.views.language import NBSP, render_text, respell
from oomph.views.table import Cell, Table, number

_COLUMNS: Final = {
    "en": ("weights", "GiB", "experts", ("KV {}: 90 %", "50 %", "ran full")),
    "ru": ("веса", "ГиБ", "экспертов", ("KV {}: 90 %", "50 %", "заполнен на деле")),
}
_NONE_FITS: Final = {"en": "none", "ru": "нет"}


def max_context_text(
    model: str,
    card: str,
    positions: Positions,
    reaches: Sequence[Reach],
    language: str,
    *,
    n_cards: int = 1,
) -> str:
    """What the table says, in sentences: the model's own reach, and how to read the columns."""
    ran = [reach for reach in reaches if reach.ran_n_ctx]
    return render_text(
        "max_context",
        language,
        model=model,
        card=card,
        n_cards=n_cards,
        positions=positions,
        limit=max(reach.limit for reach in reaches),
        is_capped=any(r.sure_n_ctx == r.limit for r in reaches),
        has_records=bool(ran),
        backends=sorted({str(reach.ran_backend) for reach in ran}),
    )


def max_context_table(model: str, reaches: Sequence[Reach], language: str) -> Table:
    """A row for each quantization and number of experts, three columns for each cache type."""
    weights, gib, experts, cells = _COLUMNS[language]
    caches = tuple(dict.fromkeys(reach.type_kv for reach in reaches))
    rows: dict[tuple[str | None, int | None], list[Reach]] = {}
    for reach in reaches:
        rows.setdefault((reach.quantization, reach.n_expert_used), []).append(reach)
    return Table(
        caption=model,
        columns=(weights, gib, experts, *(cell.format(kind) for kind in caches for cell in cells)),
        rows=tuple(_row(found, language) for found in rows.values()),
    )


def reach_json(reach: Reach, positions: Positions) -> dict[str, Any]:
    """One combination for programs; contexts in tokens, 0 where none fits, None where no record
    tells."""
    return asdict(reach) | {
        "native_context": positions.native,
        "extended_context": positions.extended,
    }


def _row(found: Sequence[Reach], language: str) -> tuple[Cell, ...]:
    first = found[0]
    cells = [
        Cell(first.quantization or NOT_MEASURED),
        number(first.weights_bytes, digits=1, unit=GIB),
        number(first.n_expert_used),
        *(cell for reach in found for cell in _reach_cells(reach, language)),
    ]
    return tuple(
        cell
        if cell.key is None
        else Cell(respell(cell.text, language).replace(NBSP, " "), cell.key)
        for cell in cells
    )


def _reach_cells(reach: Reach, language: str) -> tuple[Cell, ...]:
    predicted = (reach.sure_n_ctx, reach.even_n_ctx)
    return (
        *(
            Cell(count(n_ctx) if n_ctx else _NONE_FITS[language], n_ctx or -1)
            for n_ctx in predicted
        ),
        number(reach.ran_n_ctx),
    )
