"""The examples are short, and run as they stand."""

import json
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SAYS = {
    "does_it_fit.py": "RTX 4090                 no ",
    "experts_on_host.py": "layers must stay on the host",
    "longest_context.py": "Q4_K_M,q8_0,",
    "predicted_and_measured.py": "quantities\n",
}


@pytest.mark.parametrize(
    "name",
    [*SAYS, pytest.param("measure_here.py", marks=pytest.mark.llama)],
)
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [name])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert SAYS.get(name, "n_ctx=512 ok") in capsys.readouterr().out


def test_an_example_is_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert len(lengths) == 5
    assert max(lengths.values()) <= 25, lengths


def test_the_notebook_runs_cell_by_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(EXAMPLES)
    notebook = json.loads((EXAMPLES / "oomph.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(bool(line.strip()) for cell in cells for line in cell.splitlines()) <= 20
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    names: dict[str, object] = {}
    for cell in cells:
        exec(cell, names)
    assert "tokens/s when it is full" in capsys.readouterr().out
