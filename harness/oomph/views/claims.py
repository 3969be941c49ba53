"""Claims as tables: what was said, predicted and allocated, and whether it holds."""

from collections.abc import Iterable

from oomph.fitting.claims import GB, Claim, Rule, Tried, Verdict
from oomph.views.table import Cell, Table, number


def claims_table(card: str, rows: Iterable[tuple[Claim, Tried, Verdict]]) -> Table:
    """One row a claim and setting, in GB of 10^9 bytes."""
    return Table(
        caption=f"Claims, tried on {card} (GB are 10^9 bytes; without the CUDA context)",
        columns=("claim", "flash_attn", "n_ubatch", "claimed", "predicted", "allocated", "holds", "because"),
        rows=tuple(
            (
                Cell(claim.says), Cell(tried.config.flash_attn), number(tried.config.n_ubatch), Cell(_claimed(claim)),
                number(tried.predicted_bytes, digits=1, unit=GB), number(tried.allocated_bytes, digits=1, unit=GB),
                Cell("yes" if verdict.holds else "no"), Cell(verdict.reason),
            )
            for claim, tried, verdict in rows
        ),
    )  # fmt: skip


def rules_table(rows: Iterable[tuple[Rule, Tried, Verdict]]) -> Table:
    """One row a rule and setting; the settings are those of any of its points."""
    return Table(
        caption="Rules of thumb",
        columns=("rule", "flash_attn", "n_ubatch", "holds", "because"),
        rows=tuple(
            (
                Cell(rule.says), Cell(tried.config.flash_attn), number(tried.config.n_ubatch),
                Cell("yes" if verdict.holds else "no"), Cell(verdict.reason),
            )
            for rule, tried, verdict in rows
        ),
    )  # fmt: skip


def _claimed(claim: Claim) -> str:
    if claim.gb is None:
        return "fits" if claim.fits else "does not fit"
    low, high = claim.gb
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"
