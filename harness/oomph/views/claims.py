"""Claims as tables: what was said, predicted and allocated, and whether it holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from oomph.analysis.claims import (
    GB,
    Claim,
    ClaimRun,
    ClaimsFile,
    ClaimVerdict,
    Rule,
    judge,
    judge_rule,
)
from oomph.config import RunConfig
from oomph.files import write_file
from oomph.views.table import Cell, Table, escape_markdown, number, render_markdown


def claims_table(card: str, rows: Iterable[tuple[Claim, ClaimRun, ClaimVerdict]]) -> Table:
    """One row per claim and setting, in GB of 10^9 bytes."""
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
                Cell(run.config.flash_attn),
                number(run.config.n_ubatch),
                Cell(_claimed(claim)),
                number(run.predicted_bytes, digits=1, unit=GB),
                number(run.allocated_bytes, digits=1, unit=GB),
                Cell("yes" if verdict.holds else "no"),
                Cell(verdict.reason),
            )
            for claim, run, verdict in rows
        ),
    )


def claims_summary(rows: Iterable[tuple[Claim, ClaimRun, ClaimVerdict]]) -> list[str]:
    """One sentence a claim: under which settings it holds, and what is allocated between the
    extremes."""
    by_claim: dict[str, list[tuple[ClaimRun, ClaimVerdict]]] = {}
    for claim, run, verdict in rows:
        by_claim.setdefault(claim.says, []).append((run, verdict))
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


def rules_table(rows: Iterable[tuple[Rule, ClaimRun, ClaimVerdict]]) -> Table:
    """One row per rule and setting; the settings are those of any of its points."""
    return Table(
        caption="Rules of thumb",
        columns=("rule", "flash_attn", "n_ubatch", "holds", "because"),
        rows=tuple(
            (
                Cell(rule.says),
                Cell(run.config.flash_attn),
                number(run.config.n_ubatch),
                Cell("yes" if verdict.holds else "no"),
                Cell(verdict.reason),
            )
            for rule, run, verdict in rows
        ),
    )


def _claimed(claim: Claim) -> str:
    if claim.gb is None:
        return "fits" if claim.fits else "does not fit"
    low, high = claim.gb
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All claims of a file, judged: the answer in sentences, and the tables that carry it."""

    sentences: tuple[str, ...]
    tables: tuple[Table, Table]


def judged_claims(
    claims: ClaimsFile, tried: Mapping[tuple[str, RunConfig], ClaimRun], card: str
) -> Judged:
    """Every claim and rule under every setting."""
    judged, ruled = [], []
    for claim in claims.claim:
        for setting in claims.settings():
            each = tried[claim.quantization, claim.config(setting)]
            judged.append((claim, each, judge(claim, each)))
    for rule in claims.rule:
        for setting in claims.settings():
            series = [tried[rule.quantization, config] for config in rule.configs(setting)]
            ruled.append((rule, series[0], judge_rule(rule, series)))
    tables = (claims_table(card, judged), rules_table(ruled))
    return Judged(sentences=tuple(claims_summary(judged)), tables=tables)


def write_claims(claims: ClaimsFile, judged: Judged, folder: Path) -> Path:
    """Write the folder's claims.md; its path."""
    page = [
        f"# {escape_markdown(claims.name)}: claims and measurements",
        "\n".join(f"- {escape_markdown(sentence)}" for sentence in judged.sentences),
    ]
    page += [
        f"## {escape_markdown(table.caption)}\n\n{render_markdown(table).strip()}"
        for table in judged.tables
    ]
    path = folder / "claims.md"
    return write_file(path, "\n\n".join(page) + "\n", otherwise="name another folder with --out")
