"""Knobs as text, from a command line, a grid or a file.

Stands apart from the commands that take knobs so that `--grid n_ctx=…`, `--configs FILE` and the
options agree on names and values, and errors name where the text stood.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from oomph.config import spelled
from oomph.errors import ConfigError
from oomph.foreign import parse_json, read_text
from oomph.programs.said import Said

MAX_CONFIGS: Final = 1_000_000
MAX_BYTES: Final = 64 << 20


def parse_grid(text: str) -> dict[str, list[Any]]:
    """The axes that `n_ctx=1024,2048,n_expert_used=8,10` spells: a knob, `=`, values; again."""
    axes: dict[str, list[Any]] = {}
    knob = ""
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        if equals:
            knob = name.strip()
            if knob in axes:
                raise ConfigError(f"--grid {text}: {knob} is there twice; list its values once")
            axes[knob] = []
        if not knob:
            raise ConfigError(
                f"--grid {text}: {part!r} stands before any knob; write n_ctx=1024,2048"
            )
        axes[knob] += spelled(knob, value.strip())
    return axes


def asked_knobs(said: Said, grids: Sequence[str], file: Path | None) -> list[Said]:
    """What a command asks about: one set of knobs, those of a grid, or those of a file."""
    if grids and file:
        raise ConfigError(
            "--grid and --configs both say which configurations to answer; give one of them"
        )
    asked = list(read_configs(file, said)) if file else grid_knobs(said, grids)
    if not asked:
        raise ConfigError(f"{file} has no configuration; write one JSON object of knobs per line")
    return asked


def grid_knobs(said: Said, grids: Sequence[str]) -> list[Said]:
    """All combinations of the axes of `grids` over what was said, the first axis slowest."""
    axes: dict[str, list[Any]] = {}
    for text in grids:
        axes |= parse_grid(text)
    total = 1
    for values in axes.values():
        total *= len(values)
    if total > MAX_CONFIGS:
        raise ConfigError(f"--grid asks for {total:,} configurations; {MAX_CONFIGS:,} is the most")
    return [
        said.with_(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def read_configs(path: Path, said: Said) -> Iterator[Said]:
    """The knobs in a file of JSON objects, one per line, each over what was said; empty lines are
    left out."""
    text = read_text(
        path, error=ConfigError, remedy="name a file of JSON objects, one per line", limit=MAX_BYTES
    )
    lines = text.splitlines()
    if len(lines) > MAX_CONFIGS:
        raise ConfigError(f"{path} has {len(lines):,} lines; {MAX_CONFIGS:,} is the most")
    for no, line in enumerate(lines, start=1):
        if line.strip():
            yield replace(said.with_(**_json_object(line, f"{path}:{no}")), where=f"{path}:{no}")


def _json_object(line: str, where: str) -> dict[str, Any]:
    try:
        found = parse_json(line)
    except ValueError as error:
        raise ConfigError(
            f"{where}: no JSON ({error}); write one object of knobs per line"
        ) from None
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: {line.strip()[:40]!r} is no JSON object of knobs")
    return found
