"""The walls of the house: who may import whom, and what stays light."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "harness" / "oomph"
LAYERS = [
    "errors",
    "extras",
    "frozen",
    "foreign",
    "patterns",
    "units",
    "paths",
    "foreign_text",
    "files",
    "web",
    "gguf",
    "knob",
    "speculation",
    "config",
    "gpus",
    "cards",
    "architectures",
    "programs",
    "cuda",
    "estimate",
    "records",
    "quality",
    "models",
    "phantom",
    "measure",
    "calibrate",
    "advise",
    "analysis",
    "chat",
    "transpiler",
    "views",
    "bundle",
    "cli",
]
HEAVY = ["numpy", "pandas", "matplotlib", "scipy", "pydantic", "llama_cpp", "pynvml", "ray"]
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: Path) -> str:
    """The layer of a module by the first part of its path; the package's own __init__ stands above
    all."""
    first = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "cli" if first == "__init__" else first


def imported(module: Path) -> set[str]:
    """Every module named in an import statement, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_layers(module: Path) -> set[str]:
    """The layers of ours that a module imports from."""
    return {name.split(".")[1] for name in imported(module) if name.startswith("oomph.")} & set(
        LAYERS
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_only_from_its_own_layer_or_lower(module: Path) -> None:
    here = LAYERS.index(layer_of(module))
    upward = {layer for layer in own_layers(module) if LAYERS.index(layer) > here}
    assert not upward, f"{module.name} ({LAYERS[here]}) imports upward from {sorted(upward)}"


@pytest.mark.parametrize(("room", "other"), [("estimate", "measure"), ("measure", "estimate")])
def test_prediction_and_measurement_never_meet_below_calibrate(room: str, other: str) -> None:
    guilty = [m.name for m in MODULES if layer_of(m) == room and other in own_layers(m)]
    assert not guilty


@pytest.mark.parametrize(
    "module", sorted((PACKAGE / "measure" / "worker").glob("*.py")), ids=lambda m: m.name
)
def test_the_worker_imports_nothing_of_ours_but_itself(module: Path) -> None:
    ours = {name for name in imported(module) if name.startswith("oomph")}
    assert all(name.startswith("oomph.measure.worker.") for name in ours)
    foreign = {name.split(".")[0] for name in imported(module) - ours} - set(
        sys.stdlib_module_names
    )
    assert foreign <= {"llama_cpp", "numpy"}
    top = ast.parse(module.read_text(encoding="utf-8")).body
    at_import = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    assert not at_import & {"llama_cpp", "numpy"}, (
        "the worker imports llama_cpp inside a function only"
    )


@pytest.mark.parametrize(
    "module", sorted((PACKAGE / "cli").glob("*.py")), ids=lambda module: module.name
)
def test_a_command_parses_calls_and_prints_in_fifteen_lines(module: Path) -> None:
    """Imports count, its signature does not; but for the making of options."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef) or node.name == "takes_knobs":
            continue
        body = node.body[1:] if ast.get_docstring(node) else node.body
        lines = {line for part in body for line in range(part.lineno, (part.end_lineno or 0) + 1)}
        assert len(lines) <= 15, node.name


@pytest.mark.parametrize("layer", ["gguf", "config", "gpus", "architectures", "estimate"])
def test_facts_and_estimates_touch_no_gpu_no_process_no_numpy(layer: str) -> None:
    forbidden = {"subprocess", "multiprocessing", *HEAVY}
    for module in MODULES:
        if layer_of(module) == layer:
            assert not {name.split(".")[0] for name in imported(module)} & forbidden, module


@pytest.mark.parametrize(
    "code",
    ["import oomph", "from oomph.cli.app import app; app(['--help'], standalone_mode=False)"],
)
def test_start_up_loads_nothing_heavy(code: str) -> None:
    script = f"import sys\n{code}\nprint('HEAVY', *(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("HEAVY"), done.stdout.splitlines()[-1]


ON_THE_4090 = ("qwen3-30b-a3b:Q4_K_M", "--gpu", "4090")
LIGHT = {
    "--help": (),
    "--version": (),
    "no-such-command": (),
    "estimate": ON_THE_4090,
    "answer": ON_THE_4090,
    "explain": ("kv", "--model", *ON_THE_4090),
    "max-context": ON_THE_4090,
    "launch": (*ON_THE_4090, "-c", "8192", "--model-path", "m.gguf", "--out", "launch"),
    "inspect": ON_THE_4090[:1],
    "gpus": (),
    "models": (),
}
"""Commands that are answered while the finger is on the key, as nothing that they do not need is
imported: neither what reads records nor what measures, and no library but typer."""


FILLS_TEMPLATES = ("estimate", "answer", "explain", "max-context", "launch")


@pytest.mark.parametrize("command", LIGHT)
def test_a_question_imports_nothing_that_it_does_not_need(command: str, tmp_path: Path) -> None:
    words = [command, *LIGHT[command]]
    script = f"""
import sys
sys.argv = ["oomph", *{words}]
from oomph.cli import main
try:
    main()
finally:
    print("LOADED", *sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OOMPH_CACHE": str(tmp_path)},
        check=False,
    )
    assert done.returncode == (2 if command.startswith("no-") else 0), done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {*HEAVY, "rich", "psutil", "ssl", "importlib.metadata", "oomph.records.schema"}
    heavy |= set() if command in FILLS_TEMPLATES else {"jinja2"}
    heavy |= {"typer"} if command.startswith("--") else set()
    assert not loaded & heavy
    assert not {name for name in loaded if name.startswith("oomph.measure")}


ALONE = {"bundle/installer.py"}
"""Runs on a machine without oomph."""
IN_A_FRESH_FOLDER = {
    "advise/exchange.py",  # standard input, for readers that take a path
    "bundle/parts.py",  # a new folder's parts; the manifest that names them comes last
    "bundle/write.py",
    "cuda/cut.py",
    "cuda/nvidia.py",
    "models/demo.py",
    "models/filled.py",  # how fast the disk is
    "models/synth.py",  # what `replacing` gave it
    "measure/slurm_executor.py",
}
"""Written beside its place and renamed as a whole, or thrown away."""


def calls(module: Path) -> set[tuple[str, str]]:
    """The functions and methods that a module calls, each with its first text argument."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            said = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            found.add((ast.unparse(node.func), str(said[0]) if said else ""))
    return found


def is_worker(module: Path) -> bool:
    return module.parent.name == "worker"


def test_there_is_one_way_to_the_terminal() -> None:
    """Foreign text goes through `cli/output.py`, which makes it inert, whatever prints it."""
    printers = {"print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"}
    guilty = {
        str(module.relative_to(PACKAGE)): sorted(found)
        for module in MODULES
        if not is_worker(module)
        and (found := {name for name, _ in calls(module)} & (printers | {"Console", "Progress"}))
    }
    assert set(guilty) == {"cli/output.py", *ALONE}, guilty


def test_there_is_one_way_to_write_a_file() -> None:
    """`files.py` replaces whole files; records and journals are appended to."""
    guilty = set()
    for module in MODULES:
        for name, said in calls(module):
            writes = name.endswith((".write_text", ".write_bytes", ".savefig", ".to_csv"))
            opens = name.split(".")[-1] == "open" and {*said} & {*"wx"} and len(said) <= 3
            if (writes or opens) and not is_worker(module):
                guilty.add(str(module.relative_to(PACKAGE)))
    allowed = {"files.py", "views/svg.py", "records/frames.py", "records/store.py"}
    others = {"measure/probes.py", "bundle/portable.py", "phantom/build.py", "models/synth.py"}
    assert guilty <= allowed | others | ALONE | IN_A_FRESH_FOLDER, guilty - allowed
