"""`oomph doctor`: what is installed, which cards are seen, and what mends the rest."""

import typer

from oomph.cli.output import say
from oomph.cli.phantom import PhantomOption


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("doctor")(doctor)


def doctor(phantom: PhantomOption = None) -> None:
    """Say what is installed, which build and cards are seen, and the command that mends what is
    missing.

    Exit code 1 where a part of the main job is missing.
    """
    from contextlib import nullcontext

    from oomph.measure.doctor import examine
    from oomph.phantom.cards import phantom_cards

    with phantom_cards(phantom) if phantom else nullcontext() as cards:
        findings = examine(cards)
    marks = {"ok": "ok", "optional": "--", "missing": "!!"}
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        remedy = f"  ->  {finding.remedy}" if finding.remedy else ""
        say(f"{marks[finding.state]}  {finding.name:<{width}}  {finding.detail}{remedy}")
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)
