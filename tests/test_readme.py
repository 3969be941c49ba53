"""What the README says in Python and in figures; links, commands and outputs are
`tests/cli/test_documents.py`'s."""

import json
import re
from pathlib import Path

from bench.peers.architectures import shaped_model

from oomph.architectures.source import read_model
from oomph.cli.commands import SUMMARIES
from oomph.errors import UnknownNameError

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def test_it_is_read_in_one_go() -> None:
    assert len(README.splitlines()) <= 150


def test_every_command_is_named() -> None:
    missing = [name for name in SUMMARIES if f"`oomph {name}`" not in README]
    assert not missing


def test_its_python_runs() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)
    assert names["estimator"].max_context(n_expert_used=10) > 90_000  # type: ignore[attr-defined]


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
    n_architectures = len({_architecture(name) for name in models})
    for page in ("README.md", "CHANGELOG.md"):
        text = " ".join((repository / page).read_text(encoding="utf-8").split())
        said = re.search(r"\b(\d+) architectures, equal to 0\.01 MiB|: (\d+) of them held", text)
        assert said
        assert int(said[1] or said[2]) == n_architectures, page
