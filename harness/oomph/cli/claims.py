"""`oomph claims`: published figures, held against what llama.cpp allocates."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oomph.analysis.claims import ClaimsFile, Tried
    from oomph.config import RunConfig
    from oomph.measure.bench import Bench
    from oomph.measure.sweep import Sweep
    from oomph.records.store import Store
    from oomph.views.table import Table


def register(app: typer.Typer) -> None:
    """Add `claims` to the command line."""
    app.command("claims")(_claims)


def _claims(
    file: Annotated[Path, typer.Argument(help="the claims (TOML)")],
    out: Annotated[Path, typer.Option(help="results folder; started again, it goes on from there")],
    phantom: Annotated[str | None, typer.Option(help="another card than the claims name")] = None,
) -> None:
    """Hold claims about memory against the estimate and the phantom of the card that they are
    about."""
    from rich.console import Console

    from oomph.analysis.claims import read_claims
    from oomph.measure.bench import open_bench
    from oomph.records.store import Store
    from oomph.views.table import render_markdown, render_rich

    claims, store = read_claims(file), Store(out)
    with open_bench(phantom or claims.card) as bench:
        tried = {
            (quantization, each.config): each
            for quantization in claims.quantizations()
            for each in _try(claims, quantization, bench, store)
        }
        sentences, tables = _judged(claims, tried, bench.environment.gpus[0]["name"])
    page = [
        f"# {claims.name}: claims and measurements",
        "\n".join(f"- {sentence}" for sentence in sentences),
    ]
    page += [f"## {table.caption}\n\n{render_markdown(table).strip()}" for table in tables]
    (out / "claims.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    console = Console()
    for table in tables:
        console.print(render_rich(table))
    console.print("\n".join(sentences), markup=False, highlight=False)
    console.print(f"written to {out / 'claims.md'}", markup=False, highlight=False)


def _try(
    claims: "ClaimsFile", quantization: str, bench: "Bench", store: "Store"
) -> "Iterator[Tried]":
    """Every configuration of one quantization, from the store where it was tried before."""
    from oomph.analysis.claims import Tried
    from oomph.architectures.source import read_model
    from oomph.calibrate.expected_memory import PHANTOM, Expectation
    from oomph.measure.runner import Runner
    from oomph.models.sparse import model_path

    reference = f"{claims.model}:{quantization}"
    path = model_path(reference)
    assert bench.phantom is not None, "claims are tried on phantom cards"
    expected = Expectation(read_model(path), bench.phantom.specs, backend=PHANTOM)
    runner = Runner(
        store, bench.executor, model=path, known_as=reference, environment=bench.environment
    )
    for config in claims.configs(quantization):
        sweep = _sweep(claims, reference, config)
        for record in runner.run(sweep):
            typer.echo(f"{reference} {record.label}: {record.outcome.label}")
        (kept,) = runner.finished(sweep)
        yield Tried(config=config, predicted_bytes=expected.total(config), record=kept)


def _sweep(claims: "ClaimsFile", reference: str, config: "RunConfig") -> "Sweep":
    """One point, filled to the end; its label says what differs between the claims."""
    from oomph.measure.sweep import Group, Sweep, SweepFile

    told = ("n_expert_used", "n_ctx", "flash_attn", "n_ubatch")
    return Sweep(
        file=SweepFile(
            name=f"claims-{claims.name}",
            model=reference,
            config=config.to_dict(),
            group=[Group(name=" ".join(f"{knob}={getattr(config, knob)}" for knob in told))],
            measure={"timing": False, "depths": ("full",), "n_prompt": config.n_ubatch, "n_gen": 4},
        )
    )


def _judged(
    claims: "ClaimsFile", tried: "Mapping[tuple[str, RunConfig], Tried]", card: str
) -> "tuple[list[str], tuple[Table, Table]]":
    """Every claim and rule under every setting: the answer in sentences, and the tables that carry
    it."""
    from oomph.analysis.claims import judge, judge_rule
    from oomph.views.claims import claims_summary, claims_table, rules_table

    judged, ruled = [], []
    for claim in claims.claim:
        for setting in claims.settings():
            each = tried[claim.quantization, claim.config(setting)]
            judged.append((claim, each, judge(claim, each)))
    for rule in claims.rule:
        for setting in claims.settings():
            series = [tried[rule.quantization, config] for config in rule.configs(setting)]
            ruled.append((rule, series[0], judge_rule(rule, series)))
    return claims_summary(judged), (claims_table(card, judged), rules_table(ruled))
