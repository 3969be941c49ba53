"""Small shared libraries, compiled on the spot, that need what a test says."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.errors import ToolchainError
from oomph.phantom.build import compiler

Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def compile_library() -> Compile:
    """`compile_library(path, source, soname=…, needs=[…])` makes a shared library and gives its path."""
    try:
        command = compiler()
    except ToolchainError as error:
        pytest.skip(str(error))

    def make(path: Path, source: str = "", *, soname: str | None = None, needs: tuple[Path, ...] = ()) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-shared", "-fPIC", "-Wl,--no-as-needed", f"-Wl,-soname,{soname or path.name}"]
        subprocess.run(
            [command, *flags, "-x", "c", "-", "-x", "none", *map(str, needs), "-o", str(path)],
            input=source, text=True, check=True,
        )  # fmt: skip
        return path

    return make


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder where nothing was ever set up."""
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
