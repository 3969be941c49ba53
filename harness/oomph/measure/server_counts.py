"""What a llama-server says of a model in its own log: sizes, and which build it is."""

import re
from pathlib import Path
from typing import Final

from oomph.errors import ToolchainError
from oomph.measure.dry_run import Counted, read_counted
from oomph.measure.server_run import phantom_arguments, serving
from oomph.phantom.cards import Phantom
from oomph.programs.said import Said

SAID: Final = Said(knobs={"n_ctx": 4096, "n_seq_max": 1})
_WORDS: Final = (
    *("--ctx-size", "4096", "--parallel", "1", "--threads", "1", "--fit", "off"),
    *("--no-warmup", "--no-repack"),
)
_VERSION: Final = re.compile(r"version: .{0,40}?([0-9]{1,9})(?:, commit | \()([0-9a-f]{6,40})\)")
LEAST_BUILD: Final = 1000
STARTS_S: Final = 120.0


def server_counts(path: Path, server: Path, *, phantom: Phantom | None = None) -> Counted:
    """What `server` prints once it has loaded the file as `SAID` says; ToolchainError for a program
    that is no llama-server, or that does not load it."""
    log = _log([server, "-m", path, *_WORDS], phantom)
    counted = read_counted(log)
    if not counted.compute_mib:
        last = next((line.strip() for line in reversed(log) if line.strip()), "nothing")
        raise ToolchainError(
            f"{server} is no llama-server, or did not load the model: it told no sizes, and last "
            f"said {last[:160]!r}"
        )
    return counted


def server_build(server: Path) -> tuple[int | None, str | None]:
    """The number and the commit of the server's build, as `--version` tells them; None for what it
    does not: a build from an archive calls itself 1."""
    for line in _log([server, "--version"], None):
        if match := _VERSION.search(line):
            return int(match[1]) if int(match[1]) >= LEAST_BUILD else None, match[2]
    return None, None


def _log(command: list[Path | str], phantom: Phantom | None) -> tuple[str, ...]:
    environment = phantom.program_environment() if phantom else {}
    besides = phantom_arguments(len(phantom.cards)) if phantom else []
    with serving([*command, *besides], environment=environment) as running:
        running.await_health(STARTS_S)
        return running.log()
