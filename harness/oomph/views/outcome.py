"""How a run ended, in lines and for programs."""

from typing import Any

from oomph.measure.logs.outcome import Classification


def outcome_lines(found: Classification) -> list[str]:
    """The outcome, the log's lines that show it, and what to do."""
    stage = "" if found.stage is None else f" (stage: {found.stage})"
    return [f"{found.outcome}{stage}", *(f"  | {line}" for line in found.evidence), found.advice]


def outcome_json(found: Classification) -> dict[str, Any]:
    """The same for programs; `stage` None where it is not known, or nothing failed."""
    return {
        "outcome": found.outcome,
        "stage": found.stage,
        "evidence": found.evidence,
        "advice": found.advice,
    }
