"""What cannot be bundled is told before anything is fetched; and a whole bundle, on a machine
without a network."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph import __version__
from oomph.bundle.write import Contents, checkout_sweeps, parse_cards, parse_part_size, write_bundle
from oomph.errors import ConfigError
from oomph.paths import cache_folder

SWEEP = """
name = "small"
model = "demo"
[config]
n_threads = 1
[axes]
n_ctx = 512
n_expert_used = [7, 8]
[measure]
n_prompt = 32
n_gen = 2
repetitions = { least = 2, most = 2 }
text = { n_tokens = 64 }
"""


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        ({"python": "3"}, "--python '3' is no version; give two numbers, as 3.12"),
        ({"python": "3.10"}, "--python 3.10 is too old: oomph needs 3.11"),
        ({"python": "3.12", "cards": [(9, 0)]}, "they need --cuda"),
        ({"python": "3.12", "sweeps": Path("nowhere")}, "--sweeps nowhere is no folder"),
    ],
)
def test_contents_that_cannot_be_are_told(
    tmp_path: Path, contents: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        write_bundle(tmp_path / "b", Contents(**contents), part_bytes=10**6, say=print)  # type: ignore[arg-type]
    assert not (tmp_path / "b").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds other files; name a new folder for the bundle"):
        write_bundle(tmp_path, Contents(python="3.12"), part_bytes=10**6, say=print)
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_capabilities_and_sizes_are_read_as_people_write_them() -> None:
    assert parse_cards("9.0, 12.0") == parse_cards("sm_120,90,90") == ((9, 0), (12, 0))
    assert parse_cards(None) == ()
    assert parse_part_size("60MB") == 60_000_000
    for wrong in ("hopper", "9.x", "9.0.0"):
        with pytest.raises(ConfigError, match=r"give it as 9\.0"):
            parse_cards(wrong)
    for wrong, complaint in (("much", "is no size"), ("10KiB", "too small; give at least 1MB")):
        with pytest.raises(ConfigError, match=complaint):
            parse_part_size(wrong)


@pytest.fixture
def other_python() -> Path:
    """A Python of another version than this one where the machine has one, else this one's base."""
    here = sys.version_info[:2]
    versions = [(3, minor) for minor in (12, 13, 14, 11) if (3, minor) != here]
    for major, minor in versions:
        places = [
            shutil.which(f"python{major}.{minor}"),
            *Path("~/.pyenv/versions").expanduser().glob("*/bin/python3"),
        ]
        for python in filter(None, places):
            ask = f"import sys, venv, zlib; sys.exit(sys.version_info[:2] != ({major}, {minor}))"
            if (
                subprocess.run([python, "-c", ask], capture_output=True, check=False).returncode
                == 0
            ):
                return Path(python)
    return Path(sys.base_exec_prefix) / "bin" / "python3"


@pytest.fixture
def llama_wheel() -> Path:
    """The wheel that this environment's llama.cpp came from: for this CPU. The portable one takes
    minutes to build."""
    built = list(
        (cache_folder() / "wheels").glob("llama_cpp_python-*-cpu-*/llama_cpp_python-*.whl")
    )
    if not built:
        pytest.skip("no built llama-cpp-python is in the cache; scripts/setup builds it")
    return max(built, key=lambda wheel: wheel.stat().st_mtime)


@pytest.fixture
def offline(tmp_path: Path, other_python: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in a network namespace without a network, with another home and nothing of this
    environment."""
    home = tmp_path / "home"
    home.mkdir()
    bare = [
        "env",
        "-i",
        f"HOME={home}",
        f"PATH={other_python.parent}:/usr/bin:/bin",
        "OMP_NUM_THREADS=2",
    ]

    def run(*command: object, cwd: Path = home) -> subprocess.CompletedProcess[str]:
        words = ["unshare", "--net", *bare, *map(str, command)]
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)

    if (tried := run("true")).returncode:
        pytest.skip(f"no network namespace can be made here: {tried.stderr.strip()}")
    connect = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    assert "Network is unreachable" in run(other_python, "-c", connect).stderr
    return run


@pytest.mark.slow
@pytest.mark.llama
@pytest.mark.timeout(900)
def test_a_machine_without_a_network_is_set_up_and_measures(
    tmp_path: Path,
    other_python: Path,
    llama_wheel: Path,
    offline: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run(
        [other_python, "-c", ask], capture_output=True, text=True, check=True
    ).stdout.strip()
    contents = Contents(python=version, sweeps=checkout_sweeps())
    made = write_bundle(
        tmp_path / "made",
        contents,
        part_bytes=parse_part_size("60MB"),
        say=print,
        llama_wheel=llama_wheel,
    )
    assert len(made.parts) > 2
    carried, target = made.folder.rename(tmp_path / "carried"), tmp_path / "opt" / "oomph"

    first = offline(carried / "install", target)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"bundle {made.id}: {len(made.parts)} parts are whole\n")
    assert (
        f"installed: oomph {__version__} for Python {version}, llama.cpp for this machine's CPU"
        in first.stdout
    )
    before = {path: path.lstat().st_mtime_ns for path in target.rglob("*")}
    again = offline(carried / "install", target)
    assert again.stdout == f"bundle {made.id} is installed in {target}: nothing to do\n"
    assert {path: path.lstat().st_mtime_ns for path in target.rglob("*")} == before

    oomph = target / "oomph"
    told = offline(
        oomph, "estimate", "qwen3-30b-a3b:Q4_K_M", "--n-ctx", 90_000, "--gpu", "RTX 4090", "--json"
    )
    assert json.loads(told.stdout)["config"]["n_ctx"] == 90_000, told.stderr
    small = tmp_path / "small.toml"
    small.write_text(SWEEP)
    demo = offline(oomph, "demo", "--spec", small, "--out", tmp_path / "results", cwd=target)
    assert demo.stdout.splitlines()[-1] == f"The page: {tmp_path / 'results' / 'report.html'}", (
        demo.stderr
    )
    lines = [
        json.loads(line)
        for line in (tmp_path / "results" / "records.jsonl").read_text().splitlines()
    ]
    points = [line for line in lines if "outcome" in line]
    assert len(points) == 2
    assert (target / "bench" / "sweeps" / "demo.toml").is_file()

    pack = (
        "from pathlib import Path; from oomph.bundle.packages import own_wheel; "
        "own_wheel(Path('.'))"
    )
    packed = offline(target / "venv" / "bin" / "python", "-c", pack, cwd=tmp_path)
    assert packed.returncode == 0, packed.stderr
    with zipfile.ZipFile(next(tmp_path.glob("oomph-*.whl"))) as archive:
        names = set(archive.namelist())
    assert {
        "oomph/__init__.py",
        "oomph/phantom/csrc/cuda.c",
        f"oomph-{__version__}.dist-info/entry_points.txt",
    } <= names
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("..")]
