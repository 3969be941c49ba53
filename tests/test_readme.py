"""The README is tested: its commands exist, its links resolve, its Python runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
from bench.peers.architectures import shaped_model

from oomph.architectures.source import read_model
from oomph.cli.app import load
from oomph.cli.commands import SUMMARIES
from oomph.errors import UnknownNameError

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    shlex.split(line.removeprefix(".venv/bin/"), comments=True)
    for kind, text in BLOCKS
    if not kind
    for line in text.splitlines()
    if line.removeprefix(".venv/bin/").startswith("oomph ")
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_line_parses(words: list[str]) -> None:
    command, rest = load(words[1]), words[2:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(words[0], rest)


def test_every_command_is_named() -> None:
    missing = [name for name in SUMMARIES if f"`oomph {name}" not in README]
    assert not missing


def test_every_link_resolves(repository: Path) -> None:
    links = [
        link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link
    ]
    assert len(links) > 3
    assert [link for link in links if not (repository / link).exists()] == []


def test_the_first_python_block_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(text for kind, text in BLOCKS if kind == "python")
    monkeypatch.setattr(
        "oomph.architectures.source.read_model", lambda _: read_model("qwen3-30b-a3b:Q4_K_M")
    )
    namespace: dict[str, object] = {}
    exec(block, namespace)
    assert namespace["model"].arch == "qwen3moe"  # type: ignore[attr-defined]


def test_every_export_is_there() -> None:
    import oomph

    assert all(getattr(oomph, name) is not None for name in oomph.__all__)


def _architecture(name: str) -> str:
    try:
        return read_model(name if ":" in name else f"{name}:Q4_K_M").arch
    except UnknownNameError:
        return shaped_model(name).arch


def test_the_count_of_architectures_is_that_of_the_kept_runs(repository: Path) -> None:
    """Of those that the real CUDA backend ran on phantom cards, and whose every size is replayed by
    a test."""
    data = repository / "tests" / "data"
    models = set(json.loads((data / "families.json").read_text()))
    for name in ("architectures", "embeddings", "tensor_split"):
        rows = (data / f"{name}.jsonl").read_text().splitlines()
        models |= {json.loads(row)["model"] for row in rows}
    said = re.search(r"\| (\d+) architectures, equal to 0\.01 MiB", README)
    assert said
    assert int(said[1]) == len({_architecture(name) for name in models})
