"""What `pip install oomph` brings alone answers, and names the extra for the rest."""

import os
import subprocess
import venv
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MODEL = "qwen3-30b-a3b:Q4_K_M"
CARD = ("--gpu", "4090")
Oomph = Callable[..., subprocess.CompletedProcess[str]]


def core_files() -> set[Path]:
    """What the distributions that oomph needs without any extra put into site-packages."""
    files, seen, to_read = set[Path](), set[str](), ["oomph"]
    while to_read:
        name = canonicalize_name(to_read.pop())
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        to_read += [need.name for need in map(Requirement, found.requires or ()) if applies(need)]
        if name != "oomph":
            tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
            files |= {Path(str(found.locate_file(top))) for top in tops}
    return files


def applies(need: Requirement) -> bool:
    """Whether a requirement holds here without an extra."""
    return need.marker is None or need.marker.evaluate({"extra": ""})


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Oomph:
    """oomph in an environment that has the core's packages alone."""
    folder = tmp_path_factory.mktemp("core")
    venv.EnvBuilder(system_site_packages=False, with_pip=False, symlinks=True).create(folder)
    (site,) = (folder / "lib").glob("python*/site-packages")
    for file in core_files():
        (site / file.name).symlink_to(file)
    (site / "oomph.pth").write_text(f"{Path(__file__).parents[2] / 'harness'}\n")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        code = "import sys; from oomph.cli import main; sys.argv[0] = 'oomph'; main()"
        command = [str(folder / "bin" / "python"), "-c", code, *map(str, arguments)]
        environment = {"PATH": os.environ["PATH"], "OOMPH_CACHE": str(folder / "cache")}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=environment, check=False
        )

    return run


@pytest.mark.parametrize(
    "command",
    [
        ("--version",),
        ("gpus",),
        ("inspect", MODEL),
        ("estimate", MODEL, *CARD),
        ("answer", MODEL, *CARD, "--n-ctx", "32768"),
        ("max-context", MODEL, *CARD),
        ("explain", "context", "--model", MODEL, *CARD),
        ("what-if", MODEL, "--out", "what-if.html"),
        ("launch", MODEL, *CARD, "--n-ctx", "8192", "--model-path", "m.gguf", "--out", "launch"),
    ],
    ids=lambda command: command[0],
)
def test_the_core_answers(core: Oomph, command: tuple[str, ...]) -> None:
    done = core(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_doctor_names_the_extras_that_lack(core: Oomph) -> None:
    lines = core("doctor").stdout.splitlines()
    lacking = {line.split()[1] for line in lines if "pip install 'oomph[" in line}
    assert {"llama-cpp-python", "nvidia-ml-py", "numpy", "scipy", "matplotlib"} <= lacking


def test_the_core_reads_logs_and_results(core: Oomph, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory\n")
    assert "oom" in core("classify", log).stdout
    table = tmp_path / "bench.md"
    table.write_text(
        "| model | size | params | backend | ngl | test | t/s |\n"
        "| ----- | ---: | -----: | ------- | --: | ---: | --: |\n"
        "| qwen3moe 30B.A3B Q4_K | 17.28 GiB | 30.5 B | CUDA | 99 | pp512 | 2000.00 ± 3.1 |\n"
    )
    done = core("import", table, "--out", tmp_path / "imported")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("report", "results/h200/quiet-ladder"), "all"),
        (("calibrate", "results/h200/quiet-ladder"), "all"),
        (("sweep", "bench/sweeps/demo.toml", "--out", "out"), "all"),
        (("synth", MODEL, "model.gguf"), "all"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_is_missing_is_one_sentence_with_the_way_out(
    core: Oomph, repository: Path, command: tuple[str, ...], extra: str
) -> None:
    paths = [repository / word if "/" in word else word for word in command]
    done = core(*paths)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"run `pip install 'oomph[{extra}]'`")
    assert len(done.stderr.strip().splitlines()) == 1
