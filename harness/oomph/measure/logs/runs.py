"""The runs that one log holds, told apart, each with its outcome.

A service that is restarted, a router with a child for each model, and containers that print into
one file leave several runs in one log, one after another or mixed. Here a run is what one process
printed from its first lines on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from oomph.measure.logs.events import GAVE_UP
from oomph.measure.logs.failures import Sign, sign_of
from oomph.measure.logs.lines import as_lines
from oomph.measure.logs.outcome import Classification, classify
from oomph.measure.logs.prefixes import Line
from oomph.measure.logs.progress import Phase, phase_of, shows_work

_BEGINS: Final = re.compile(
    r"ggml_cuda_init: found|ggml_vulkan: Found|load_backend: loaded|^build: [0-9]{1,9} \("
    r"|main: build = |^(?:Welcome to|\*\*\*|Initializing dynamic library).{0,20}[Kk]obold"
    r"|Started .{0,80}(?:llama|[Oo]llama)|^starting (?:llama server|runner)"
)
"""Lines that a program prints before it loads anything; of several in a row the first counts."""
_UNDER_WAY: Final = (Phase.COMPUTE, Phase.RUN)
"""How far a program must have come that such a line is another's: some find their cards late."""


@dataclass(slots=True)
class _Run:
    """The lines of one run so far, and the process that printed the last of them; `has_begun` once
    it did more than say what it is, `retries` while it tries again what was refused."""

    lines: list[Line] = field(default_factory=list)
    has_begun: bool = False
    retries: bool = False
    stream: str = ""

    def add(self, line: Line, *, begins: bool) -> None:
        self.lines.append(line)
        if not begins:
            sign = sign_of(line)
            self.retries = sign is Sign.RETRY or (self.retries and sign is None)
            self.has_begun = self.has_begun or sign in GAVE_UP or phase_of(line) in _UNDER_WAY


def split_runs(log: Sequence[str]) -> list[list[Line]]:
    """The lines of each run, in the order in which the runs began; at least one.

    A service's processes are one run while they speak in turns, as Ollama's server and runner do,
    and another once the one before is silent. Lines that name no process (systemd's, the kernel's)
    belong to the run that printed last.
    """
    lines = as_lines(log)
    last_at = {line.stream: at for at, line in enumerate(lines)}
    run = _Run()
    runs, of_service, seen = [run], dict[str, _Run](), set[str]()
    for at, line in enumerate(lines):
        begins = _BEGINS.search(line) is not None
        if line.stream:
            service = line.stream.partition("[")[0]
            is_first = not of_service and not run.has_begun
            run = of_service.get(service) or (run if is_first else _Run())
            is_new = line.stream not in seen and bool(run.stream) and last_at[run.stream] < at
            begins_anew = begins or is_new
            seen.add(line.stream)
        else:
            service, begins_anew = "", begins
        if begins_anew and run.has_begun and not run.retries:
            run = _Run()
        if run is not runs[0] and not run.lines:
            runs.append(run)
        if service:
            of_service[service], run.stream = run, line.stream
        run.add(line, begins=begins)
    return [each.lines for each in runs if _is_run(each.lines)] or [runs[0].lines]


def _is_run(lines: Sequence[Line]) -> bool:
    """Whether the lines say anything of how a program went, and are not only those of another."""
    return any(
        phase_of(line) is not None or sign_of(line) is not None or shows_work(line)
        for line in lines
    )


def classify_runs(
    runs: Sequence[Sequence[str]], exit_code: int | None = None, *, timed_out: bool = False
) -> tuple[Classification, ...]:
    """The outcome of each run, in order; `exit_code` and `timed_out` are of the last."""
    *earlier, last = runs
    return (
        *(classify(None, run) for run in earlier),
        classify(exit_code, last, timed_out=timed_out),
    )


def decisive(runs: Sequence[Classification]) -> Classification:
    """The run that a reader of the log asks about: the last that failed, of those the last that is
    named; else the last."""
    failed = [run for run in runs if run.failed]
    named = [run for run in failed if run.outcome != "unknown"]
    return (named or failed or list(runs))[-1]
