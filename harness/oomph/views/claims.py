"""Claims as tables: what was said, predicted and allocated, and whether it holds."""

from collections.abc import Iterable

from oomph.analysis.claims import GB, Claim, Rule, Tried, Verdict
from oomph.views.table import Cell, Table, number


def claims_table(card: str, rows: Iterable[tuple[Claim, Tried, Verdict]]) -> Table:
    """One row a claim and setting, in GB of 10^9 bytes."""
    return Table(
        caption=f"Claims, tried on {card} (GB are 10^9 bytes; without the CUDA context)",
        columns=(
            "claim",
            "flash_attn",
            "n_ubatch",
            "claimed",
            "predicted",
            "allocated",
            "holds",
            "because",
        ),
        rows=tuple(
            (
                Cell(claim.says),
                Cell(tried.config.flash_attn),
                number(tried.config.n_ubatch),
                Cell(_claimed(claim)),
                number(tried.predicted_bytes, digits=1, unit=GB),
                number(tried.allocated_bytes, digits=1, unit=GB),
                Cell("yes" if verdict.holds else "no"),
                Cell(verdict.reason),
            )
            for claim, tried, verdict in rows
        ),
    )


def claims_summary(rows: Iterable[tuple[Claim, Tried, Verdict]]) -> list[str]:
    """One sentence a claim: under which settings it holds, and what is allocated between the
    extremes."""
    by_claim: dict[str, list[tuple[Tried, Verdict]]] = {}
    for claim, tried, verdict in rows:
        by_claim.setdefault(claim.says, []).append((tried, verdict))
    sentences = []
    for says, tries in by_claim.items():
        holding = [
            f"flash_attn {t.config.flash_attn}, n_ubatch {t.config.n_ubatch}"
            for t, v in tries
            if v.holds
        ]
        sizes = [size / GB for t, _ in tries if (size := t.allocated_bytes) is not None]
        span = (
            f"; what runs takes {min(sizes):.1f} to {max(sizes):.1f} GB"
            if sizes
            else "; none of the settings runs"
        )
        sentences.append(
            f"{says}: holds with {' and with '.join(holding) or 'none of the settings'}{span}."
        )
    return sentences


def rules_table(rows: Iterable[tuple[Rule, Tried, Verdict]]) -> Table:
    """One row a rule and setting; the settings are those of any of its points."""
    return Table(
        caption="Rules of thumb",
        columns=("rule", "flash_attn", "n_ubatch", "holds", "because"),
        rows=tuple(
            (
                Cell(rule.says),
                Cell(tried.config.flash_attn),
                number(tried.config.n_ubatch),
                Cell("yes" if verdict.holds else "no"),
                Cell(verdict.reason),
            )
            for rule, tried, verdict in rows
        ),
    )


def _claimed(claim: Claim) -> str:
    if claim.gb is None:
        return "fits" if claim.fits else "does not fit"
    low, high = claim.gb
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"
