"""The best placements of an answer: a small table, the flags of each row, and JSON."""

import shlex
from typing import Any, Final

from oomph.advise.answer import Answer
from oomph.advise.placement.proof import Placed
from oomph.config import KNOBS
from oomph.units import GIB, MIB, count
from oomph.views.language import NBSP, render_text, respell, words_of
from oomph.views.table import Cell, Table, number

_LETTERS: Final = "abcdefgh"
_QUANTIZED: Final = ("q4_0", "q4_1", "iq4_nl")


def front_table(answer: Answer, language: str) -> Table:
    """A row for each placement, by a letter that its flags have too."""
    words = words_of(language, "placement")
    return Table(
        caption=words["caption"],
        columns=tuple(words["columns"]),
        rows=tuple(
            _row(letter, row, language) for letter, row in zip(_LETTERS, answer.front, strict=False)
        ),
    )


def front_text(answer: Answer, language: str) -> str:
    """What each row changes of what was asked, as llama.cpp's flags; which of them is the best for
    what was asked."""
    rows = [
        {
            "letter": letter,
            "flags": flags(row),
            "is_best": answer.best is not None and row.config == answer.best.config,
            "costs_quality": row.config.type_k in _QUANTIZED and "type_k" in row.changes,
        }
        for letter, row in zip(_LETTERS, answer.front, strict=False)
    ]
    return render_text("placement", language, goal=answer.goal, rows=rows)


def flags(placed: Placed) -> str:
    """The changed knobs as llama.cpp's shortest flags, quoted for a shell; empty where nothing
    is changed."""
    return " ".join(word for knob in placed.changes for word in _flag(knob, placed))


def _flag(knob: str, placed: Placed) -> list[str]:
    value = getattr(placed.config, knob)
    option = KNOBS[knob].options[-1]
    if isinstance(value, tuple):
        value = ",".join(f"{share:g}" for share in value)
    return [] if value is None else [option, shlex.quote(str(value))]


def placed_json(placed: Placed | None) -> dict[str, Any] | None:
    """A placement for programs: the knobs that it changes, rates per second, sizes in bytes; None
    for none."""
    if placed is None:
        return None
    config = placed.config
    return {
        "n_ctx": config.n_ctx,
        "changes": {knob: getattr(config, knob) for knob in placed.changes},
        "decode_tokens_per_s": placed.speeds and placed.decode_tokens_per_s,
        "prefill_tokens_per_s": placed.speeds and placed.prefill_tokens_per_s,
        "total_vram_bytes": placed.memory.total_vram_bytes,
        "margin_bytes": placed.margin_bytes,
        "host_bytes": placed.host_bytes,
    }


def _row(letter: str, placed: Placed, language: str) -> tuple[Cell, ...]:
    config = placed.config
    cells = (
        Cell(letter),
        Cell(count(config.n_ctx), config.n_ctx),
        Cell(config.type_k),
        number(min(config.n_ubatch, config.n_batch)),
        number(placed.decode_tokens_per_s if placed.speeds else None, digits=1),
        number(placed.prefill_tokens_per_s if placed.speeds else None),
        number(placed.host_bytes, digits=1, unit=GIB),
        number(placed.margin_bytes, unit=MIB),
    )
    return tuple(Cell(respell(cell.text, language).replace(NBSP, " "), cell.key) for cell in cells)
