"""How a run ended, in lines and for programs."""

from collections import Counter
from typing import Any

from oomph.advise.failed_run import FailedRun
from oomph.measure.logs.outcome import Classification
from oomph.units import counted


def outcome_lines(run: FailedRun) -> list[str]:
    """The outcome, the log's lines that show it, what to do, and where the log has several runs,
    how those ended."""
    found = run.found
    told = ", ".join(f"{name}: {value}" for name, value in _place(found).items() if value)
    lines = [
        f"{found.outcome} ({told})" if told else found.outcome,
        *(f"  | {line}" for line in found.evidence),
        found.advice,
    ]
    if len(run.runs) > 1:
        ended = Counter(each.outcome for each in run.runs)
        by_outcome = ", ".join(f"{n} {outcome}" for outcome, n in ended.items())
        lines.append(
            f"{counted(len(run.runs), 'run')} in this log: {by_outcome}; the above is of run "
            f"{run.runs.index(found) + 1}"
        )
    return lines


def outcome_json(run: FailedRun) -> dict[str, Any]:
    """The same for programs; `stage`, `context`, `device` and `when` are None where the log does
    not tell them. `runs` has each run of the log in order."""
    return {**_outcome(run.found), "runs": [_outcome(each) for each in run.runs]}


def _outcome(found: Classification) -> dict[str, Any]:
    return {
        "outcome": found.outcome,
        **_place(found),
        "waits": found.waits,
        "evidence": found.evidence,
        "advice": found.advice,
    }


def _place(found: Classification) -> dict[str, str | None]:
    """What was refused or failed, for which context, on which device, and when."""
    return {
        "stage": found.stage,
        "context": found.context,
        "device": found.refusal.device if found.refusal else None,
        "when": found.when,
    }
