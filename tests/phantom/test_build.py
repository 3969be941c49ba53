"""The phantom's C: its layouts against NVIDIA's headers, and what a missing compiler says."""

import os
import subprocess
from pathlib import Path

import pytest

from oomph.cuda.backend import CudaBackend
from oomph.errors import ToolchainError
from oomph.phantom.build import SOURCES, compiler, libraries

CUDA = Path(os.environ.get("CUDA_PATH", "/usr/local/cuda")) / "include"


@pytest.mark.skipif(
    not (CUDA / "driver_types.h").is_file(), reason="CUDA's headers are not installed"
)
def test_the_layouts_are_those_of_nvidias_headers() -> None:
    command = [compiler(), "-std=gnu11", "-fsyntax-only", "-I", str(CUDA), str(SOURCES / "abi.c")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    for source in sorted(SOURCES.glob("*.c")):
        if source.name == "abi.c":
            continue
        command = [
            compiler(),
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Wno-unused-parameter",
            "-Werror",
            "-O2",
            "-c",
        ]
        subprocess.run([*command, str(source), "-o", str(tmp_path / "object.o")], check=True)


def test_without_a_compiler_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ToolchainError, match="install gcc"):
        compiler()


@pytest.mark.phantom
def test_the_folder_is_laid_out_once_and_complete(cuda_backend: CudaBackend) -> None:
    first, second = libraries(), libraries()
    assert first == second
    assert first.backend.resolve() == cuda_backend.path.resolve()
    names = {path.name for path in first.cuda.parent.iterdir()}
    assert names == {
        "libphantom.so",
        "libnvidia-ml.so.1",
        "libcudart.so.13",
        "libcublas.so.13",
        "libcuda.so.1",
        "libggml-cuda.so",
        "libggml-base.so",
    }
