"""Fixtures that several rooms share."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda.backend import Backend, fetch_backend, installed_backend
from oomph.errors import ToolchainError
from oomph.facts.catalogue import catalogue_model
from oomph.measure.server_run import built_server
from oomph.models.synth import write_synthetic
from oomph.phantom.build import compiler

Compile = Callable[..., Path]
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return ROOT


@pytest.fixture(scope="session")
def cuda_backend() -> Backend:
    """llama.cpp's CUDA backend for phantom cards, from the cache or by npm."""
    try:
        compiler()
    except ToolchainError as error:
        pytest.skip(str(error))
    try:
        return installed_backend()
    except ToolchainError:
        if shutil.which("npm") is None:
            pytest.skip("npm is needed to fetch the CUDA backend for the phantom card")
        return fetch_backend()


@pytest.fixture(scope="session")
def qwen3_30b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-30B-A3B in Q4_K_M: its exact shape, 18 GB that take a few MB."""
    spec = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
    return write_synthetic(spec, tmp_path_factory.mktemp("sparse") / "qwen3-30b-a3b-q4_k_m.gguf")


@pytest.fixture(scope="session")
def llama_server() -> Path:
    """The llama-server of the wheel's own sources."""
    server = built_server()
    if server is None:
        pytest.skip(
            "llama-server is not built; `scripts/llama-tools llama-server` builds it in about ten "
            "minutes"
        )
    return server


@pytest.fixture(scope="session")
def compile_library() -> Compile:
    """`compile_library(path, source, soname=…, needs=[…])` makes a shared library and gives its
    path."""
    try:
        command = compiler()
    except ToolchainError as error:
        pytest.skip(str(error))

    def make(
        path: Path, source: str = "", *, soname: str | None = None, needs: tuple[Path, ...] = ()
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-shared", "-fPIC", "-Wl,--no-as-needed", f"-Wl,-soname,{soname or path.name}"]
        subprocess.run(
            [command, *flags, "-x", "c", "-", "-x", "none", *map(str, needs), "-o", str(path)],
            input=source,
            text=True,
            check=True,
        )
        return path

    return make
