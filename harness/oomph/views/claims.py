"""Claims as tables: what was said, predicted and allocated, and whether it holds."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from oomph.analysis.claims import (
    CLAIMS_FILE,
    GB,
    MAX_BYTES,
    Claim,
    ClaimRun,
    ClaimsFile,
    ClaimVerdict,
    Rule,
    judge,
    judge_rule,
)
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.files import write_files
from oomph.foreign import read_text
from oomph.frozen import frozen
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


Tried = tuple[ClaimRun, ClaimVerdict]


@frozen
class Judged:
    """All claims of a file, judged under every setting: the answer in sentences, and the tables
    that carry it."""

    claims: Sequence[tuple[Claim, Sequence[Tried]]]
    rules: Sequence[tuple[Rule, Sequence[Tried]]]
    card: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """One a claim."""
        return tuple(claims_summary(_rows(self.claims)))

    @property
    def tables(self) -> tuple[Table, Table]:
        """Every claim and every rule under every setting."""
        return claims_table(self.card, _rows(self.claims)), rules_table(_rows(self.rules))


Said = TypeVar("Said", Claim, Rule)


def _rows(
    judged: Sequence[tuple[Said, Sequence[Tried]]],
) -> list[tuple[Said, ClaimRun, ClaimVerdict]]:
    return [(said, run, verdict) for said, tries in judged for run, verdict in tries]


def judged_claims(
    claims: ClaimsFile, tried: Mapping[tuple[str, RunConfig], ClaimRun], card: str
) -> Judged:
    """Every claim and rule under every setting."""
    settings = list(claims.settings())
    judged: list[tuple[Claim, list[Tried]]] = []
    for claim in claims.claim:
        runs = [tried[claim.quantization, claim.config(setting)] for setting in settings]
        judged.append((claim, [(run, judge(claim, run)) for run in runs]))
    ruled: list[tuple[Rule, list[Tried]]] = []
    for rule in claims.rule:
        several = [
            [tried[rule.quantization, config] for config in rule.configs(setting)]
            for setting in settings
        ]
        ruled.append((rule, [(series[0], judge_rule(rule, series)) for series in several]))
    return Judged(claims=judged, rules=ruled, card=card)


def verdicts_table(judged: Judged) -> Table:
    """One row a claim or rule: what is said, what is allocated over all settings, and whether it
    holds."""
    rows = [
        (
            Cell(claim.says),
            Cell(_claimed(claim)),
            Cell(_span(tries)),
            Cell(verdict_words([(t.config, v.holds) for t, v in tries])),
        )
        for claim, tries in judged.claims
    ]
    rows += [
        (
            Cell(rule.says),
            Cell("a rule"),
            Cell(""),
            Cell(verdict_words([(t.config, v.holds) for t, v in tries])),
        )
        for rule, tries in judged.rules
    ]
    return Table(
        caption=f"On a phantom {judged.card}, in GB of 10^9 bytes, over flash attention and "
        "micro-batches",
        columns=("claim", "claimed GB", "allocated GB", "verdict"),
        rows=tuple(rows),
    )


def _span(tries: Sequence[Tried]) -> str:
    sizes = [n_bytes / GB for run, _ in tries if (n_bytes := run.allocated_bytes) is not None]
    n_failed = len(tries) - len(sizes)
    failed = f"{n_failed} of {len(tries)} do not run" if n_failed else ""
    if not sizes:
        return "none runs"
    ends = f"{min(sizes):.1f} to {max(sizes):.1f}" if len(sizes) > 1 else f"{sizes[0]:.1f}"
    return f"{ends}; {failed}" if failed else ends


def verdict_words(tries: Sequence[tuple[RunConfig, bool]]) -> str:
    """`holds`, `does not hold`, or with which settings it does."""
    holding = [config for config, holds in tries if holds]
    if len(holding) == len(tries):
        return "holds"
    if not holding:
        return "does not hold"
    words = [f"flash_attn {c.flash_attn}, n_ubatch {c.n_ubatch}" for c in holding]
    return f"holds with {' and with '.join(words)} alone"


def write_claims(claims: ClaimsFile, judged: Judged, folder: Path, *, source: Path) -> Path:
    """Write the folder's claims.md and keep the claims of `source` beside it, so that `oomph
    report` can judge them again; the path of claims.md."""
    page = [
        f"# {escape_markdown(claims.name)}: claims and measurements",
        "\n".join(f"- {escape_markdown(sentence)}" for sentence in judged.sentences),
    ]
    page += [
        f"## {escape_markdown(table.caption)}\n\n{render_markdown(table).strip()}"
        for table in judged.tables
    ]
    path = folder / "claims.md"
    files = {path: "\n\n".join(page) + "\n"}
    if source.is_file():  # a pipe has been read
        remedy = "check the path of the claims file"
        files[folder / CLAIMS_FILE] = read_text(
            source, error=ConfigError, remedy=remedy, limit=MAX_BYTES
        )
    write_files(files, otherwise="name another folder with --out")
    return path
