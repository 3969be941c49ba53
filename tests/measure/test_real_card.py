"""The way to a real card, with the phantom for its driver: no preload, no --phantom, and every
command a child.

The phantom lies where the loader finds the libraries of a driver and of CUDA (LD_LIBRARY_PATH), so
that all is as on a workstation: `oomph setup cuda` finds them, the worker loads the plug-in, NVML
answers by its own name.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from oomph.cuda import plugin
from oomph.cuda.backend import CudaBackend
from oomph.cuda.nvidia import find_libraries
from oomph.gpus import gpu
from oomph.measure.cuda_route import load_backend
from oomph.phantom.cards import PhantomCard, phantom_cards
from oomph.records.store import Store

pytestmark = [
    pytest.mark.phantom,
    pytest.mark.usefixtures("cuda_backend"),
    pytest.mark.skipif(plugin.has_driver(), reason="this machine has a driver of its own"),
]
Compile = Callable[..., Path]


class Workstation:
    """A machine with an NVIDIA driver, and oomph installed with a cache of its own; `variables` are
    its environment."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = {
            key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"
        } | variables

    def oomph(self, *arguments: object, code: int = 0, **more: str) -> str:
        """What the command prints on both streams; it must end with this exit code, and without a
        traceback."""
        command = [sys.executable, "-c", "from oomph.cli import main; main()", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.variables | more
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@contextmanager
def workstation(
    cards: "str | list[PhantomCard]", backend: CudaBackend, folder: Path, driver: bool = True
) -> Iterator[Workstation]:
    """A workstation with these cards; without a driver it has CUDA's libraries alone."""
    cache = folder / "cache"
    (cache / "cuda").mkdir(parents=True, exist_ok=True)
    (cache / "cuda" / "backend").symlink_to(backend.path.parent)
    with phantom_cards(cards) as phantom:
        libraries = phantom.cuda_path.parent
        if not driver:
            libraries = folder / "libraries"
            libraries.mkdir()
            for name in ("libcudart.so.13", "libcublas.so.13"):
                (libraries / name).symlink_to(phantom.cuda_path)
        yield Workstation(
            {
                "OOMPH_CACHE": str(cache),
                "LD_LIBRARY_PATH": str(libraries),
                "PHANTOM_STATE": str(phantom.state_path),
            }
        )


@pytest.fixture
def sweep(tiny_moe: Path, tmp_path: Path) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(
        f'name = "s"\nmodel = "{tiny_moe}"\n[config]\nn_ctx = 256\nn_gpu_layers = -1\n'
        "[measure]\ndepths = [0]\nn_prompt = 16\nn_gen = 1\n"
    )
    return path


def test_a_card_from_setup_to_a_record(
    cuda_backend: CudaBackend, sweep: Path, tmp_path: Path
) -> None:
    with workstation("RTX 5090", cuda_backend, tmp_path) as machine:
        printed = machine.oomph("setup", "cuda")
        assert f"libcudart.so.13: system, {machine.variables['LD_LIBRARY_PATH']}" in printed
        assert "CUDA0: NVIDIA GeForce RTX 5090" in printed
        assert "ready: oomph measures on these cards" in printed
        found = machine.oomph("doctor")
        assert "580.00.00-phantom, CUDA 13.1, the backend needs 13" in found
        assert "in use; compute capability 12.0, native code" in found
        assert "loads (backend API 2): CUDA0 = NVIDIA GeForce RTX 5090" in found
        machine.oomph("sweep", sweep, "--out", tmp_path / "out")
        (record,) = Store(tmp_path / "out").records()
        assert (record.outcome.label, record.environment.backend) == ("ok", "cuda")
        assert record.environment.gpus[0]["compute_capability"] == "12.0"
        assert record.buffers.model_mib["CUDA0"][0] > 0
        assert any(
            (series.quantity, series.device) == ("vram", "CUDA0") for series in record.memory
        )
        assert "llama.cpp is for the CPU again" in machine.oomph("setup", "cuda", "--off")
        assert "not set up: llama.cpp is for the CPU" in machine.oomph("doctor")


def test_a_card_without_native_code_is_told_that_the_first_run_compiles(
    cuda_backend: CudaBackend, tmp_path: Path
) -> None:
    with workstation("H100", cuda_backend, tmp_path) as machine:
        machine.oomph("setup", "cuda")
        assert (
            "no native code: the first run compiles PTX for 9.0 for some minutes"
            in machine.oomph("doctor")
        )


def test_drivers_and_cards_that_are_too_old_are_one_sentence(
    cuda_backend: CudaBackend, sweep: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with workstation("H100", cuda_backend, tmp_path / "new") as machine:
        machine.oomph("setup", "cuda")
        printed = machine.oomph("sweep", sweep, "--out", out, code=2, PHANTOM_CUDA="13000")
        assert (
            "the driver (CUDA 13.0) is too old to compile the backend's PTX (CUDA 13.1): install "
            "a driver" in printed
        )
        printed = machine.oomph("sweep", sweep, "--out", out, code=2, PHANTOM_CUDA="12040")
        assert (
            "the NVIDIA driver speaks CUDA 12.4, the backend needs 13: install driver 580.65 or "
            "newer" in printed
        )
        assert "!!  NVIDIA driver" in machine.oomph("doctor", code=1, PHANTOM_CUDA="12040")
    pascal = PhantomCard(spec=replace(gpu("GTX 1080"), memory_bytes=8 << 30))
    with workstation([pascal], cuda_backend, tmp_path / "old") as machine:
        machine.oomph("setup", "cuda")
        printed = machine.oomph("sweep", sweep, "--out", out, code=2)
        assert (
            "compute capability 6.1, the backend's code begins at 7.5: oomph setup cuda --build"
            in printed
        )
    assert not out.exists() or not Store(out).records()


def test_without_a_driver_ggml_says_so_and_everything_else_goes_on(
    cuda_backend: CudaBackend, sweep: Path, tmp_path: Path
) -> None:
    said = "libcuda.so.1: cannot open shared object file: No such file or directory"
    with workstation("RTX 5090", cuda_backend, tmp_path, driver=False) as machine:
        printed = machine.oomph("setup", "cuda")
        assert "llama.cpp says: load_backend: failed to load" in printed
        assert said in printed
        found = machine.oomph("doctor")
        assert said in found
        assert "install NVIDIA's driver; the CPU and the phantom card work without it" in found
        printed = machine.oomph("sweep", sweep, "--out", tmp_path / "out")
        assert (
            "on the CPU: the CUDA backend is set up, and this machine has no NVIDIA driver"
            in printed
        )
        (record,) = Store(tmp_path / "out").records()
        assert (record.outcome.label, record.environment.backend) == ("ok", "cpu")


def test_a_ggml_of_another_build_in_the_loaders_way_is_named(
    cuda_backend: CudaBackend, sweep: Path, tmp_path: Path
) -> None:
    with workstation("RTX 5090", cuda_backend, tmp_path) as machine:
        machine.oomph("setup", "cuda")
        other = tmp_path / "other"
        other.mkdir()
        shutil.copy(cuda_backend.base, other / "libggml-base.so")
        path = f"{other}:{machine.variables['LD_LIBRARY_PATH']}"
        printed = machine.oomph(
            "sweep", sweep, "--out", tmp_path / "out", code=2, LD_LIBRARY_PATH=path
        )
        assert (
            f"LD_LIBRARY_PATH leads to another ggml, {other}/libggml-base.so; take its folder out "
            f"of it" in printed
        )


def test_a_part_that_is_gone_is_named_with_the_way_back(
    cuda_backend: CudaBackend, sweep: Path, tmp_path: Path
) -> None:
    with workstation("RTX 5090", cuda_backend, tmp_path) as machine:
        machine.oomph("setup", "cuda")
        (tmp_path / "cache" / "cuda" / "backend").unlink()
        printed = machine.oomph("sweep", sweep, "--out", tmp_path / "out", code=2)
        assert "a part of the CUDA backend, is gone; run `oomph setup cuda` again" in printed
        assert "!!  CUDA backend" in machine.oomph("doctor", code=1)


def test_nvidias_own_libraries_are_loaded_and_tell_an_old_driver(
    cuda_backend: CudaBackend, tmp_path: Path
) -> None:
    """The real libcudart and libcublas out of the plug-in's folder; to them the phantom lacks most
    of a driver."""
    libraries, missing = find_libraries(cuda_backend.path)
    if missing:
        pytest.skip(f"{', '.join(missing)} is not here; `oomph setup cuda` fetches it")
    with workstation("RTX 5090", cuda_backend, tmp_path) as machine:
        driver = tmp_path / "driver"
        driver.mkdir()
        (driver / "libcuda.so.1").symlink_to(
            Path(machine.variables["LD_LIBRARY_PATH"], "libcuda.so.1")
        )
        machine.variables |= {"LD_LIBRARY_PATH": str(driver), "CUDA_PATH": str(tmp_path)}
        kept = tmp_path / "lib64"
        kept.mkdir()
        for library in libraries:
            (kept / library.soname).symlink_to(library.path)
        printed = machine.oomph("setup", "cuda")
        assert (
            "failed to initialize CUDA: API call is not supported in the installed CUDA driver"
            in printed
        )
        assert "!!  CUDA in llama.cpp" in machine.oomph("doctor", code=1)


def test_a_missing_cudart_is_told_in_ggmls_words(tmp_path: Path, compile_library: Compile) -> None:
    cudart = compile_library(tmp_path / "libcudart.so.99", "int x;")
    backend = compile_library(tmp_path / "libggml-cuda.so", "int y;", needs=(cudart,))
    cudart.unlink()
    loaded = load_backend(backend)
    assert not loaded.loaded
    assert loaded.cards == ()
    assert "libcudart.so.99: cannot open shared object file" in loaded.complaint


def test_a_backend_for_a_cuda_that_nobody_has_is_refused_by_name(
    cuda_backend: CudaBackend, tmp_path: Path, compile_library: Compile
) -> None:
    cudart = compile_library(tmp_path / "own" / "libcudart.so.99", "int x;")
    own = compile_library(tmp_path / "own" / "libggml-cuda.so", "int y;", needs=(cudart,))
    cudart.unlink()
    shutil.copy(cuda_backend.base, own.parent / "libggml-base.so")
    with workstation("RTX 5090", cuda_backend, tmp_path) as machine:
        printed = machine.oomph("setup", "cuda", "--backend", own, code=2)
        assert "no wheels of CUDA 99 are known; install NVIDIA's CUDA 99 toolkit" in printed
        assert "not set up: llama.cpp is for the CPU" in machine.oomph("doctor"), (
            "nothing was chosen"
        )


def test_options_that_exclude_each_other_are_refused(
    cuda_backend: CudaBackend, tmp_path: Path
) -> None:
    with workstation("RTX 5090", cuda_backend, tmp_path) as machine:
        assert "give one of them" in machine.oomph("setup", "cuda", "--build", "--off", code=2)
