"""Where NVIDIA's libraries are found, and what is said where they cannot be had."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda import nvidia
from oomph.cuda.nvidia import ask_loader, cuda_major, fetch_libraries, find_libraries
from oomph.errors import ToolchainError

Compile = Callable[..., Path]


@pytest.fixture
def backend(tmp_path: Path, compile_library: Compile) -> Path:
    """A backend for a CUDA major that no machine has, and its libraries in a folder `lib`."""
    lib = tmp_path / "lib"
    lt = compile_library(lib / "libcublasLt.so.99", "int lt;")
    cublas = compile_library(lib / "libcublas.so.99", "int cublas;", needs=(lt,))
    cudart = compile_library(lib / "libcudart.so.99", "int cudart;")
    return compile_library(tmp_path / "libggml-cuda.so", "int backend;", needs=(cudart, cublas))


def test_the_major_is_that_of_the_libcudart_it_needs(backend: Path) -> None:
    assert cuda_major(backend) == "99"


def test_libraries_are_found_with_what_they_need_in_turn(
    backend: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lib = backend.parent / "lib"
    monkeypatch.setenv("LD_LIBRARY_PATH", str(lib))
    found, missing = find_libraries(backend)
    assert [(each.soname, each.path.parent, each.origin) for each in found] == [
        (name, lib, "system")
        for name in ("libcudart.so.99", "libcublas.so.99", "libcublasLt.so.99")
    ]
    assert missing == ()


@pytest.mark.usefixtures("empty_cache")
def test_a_toolkit_the_loader_does_not_know_is_found_by_its_variable(
    backend: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (backend.parent / "lib").rename(backend.parent / "lib64")
    monkeypatch.setenv("CUDA_PATH", str(backend.parent))
    found, missing = find_libraries(backend)
    assert {each.path.parent.name for each in found} == {"lib64"}
    assert (len(found), missing) == (3, ())


def test_what_was_fetched_is_found_last(backend: Path, empty_cache: Path) -> None:
    assert find_libraries(backend) == ((), ("libcudart.so.99", "libcublas.so.99"))
    kept = empty_cache / "cuda" / "nvidia-99"
    kept.parent.mkdir(parents=True)
    (backend.parent / "lib").rename(kept)
    found, missing = find_libraries(backend)
    assert {(each.path.parent, each.origin) for each in found} == {(kept, "oomph's cache")}
    assert missing == ()


def test_another_major_does_not_serve(
    backend: Path, monkeypatch: pytest.MonkeyPatch, compile_library: Compile
) -> None:
    """A system with CUDA 98 only: what CUDA 99 needs is still missing."""
    lib = backend.parent / "other"
    for name in ("libcudart.so", "libcublas.so"):
        compile_library(lib / f"{name}.98", "int x;")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(lib))
    assert find_libraries(backend) == ((), ("libcudart.so.99", "libcublas.so.99"))


def test_a_library_that_cannot_be_loaded_is_not_found(
    backend: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lib = backend.parent / "lib"
    (lib / "libcublasLt.so.99").unlink()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(lib))
    assert set(ask_loader(["libcudart.so.99", "libcublas.so.99"])) == {"libcudart.so.99"}


@pytest.mark.usefixtures("empty_cache")
def test_a_major_that_pypi_lacks_is_one_sentence() -> None:
    with pytest.raises(ToolchainError, match="install NVIDIA's CUDA 99 toolkit"):
        fetch_libraries("99", print)


def test_a_wheel_with_another_hash_is_not_unpacked(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip holds what it fetches against the hashes; here it finds a wheel of that name that is
    another."""
    wheel = tmp_path / "oomph_no_such-1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK\x05\x06" + bytes(18))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(
        nvidia, "PACKAGES", {"99": (f"oomph-no-such==1.0 --hash=sha256:{'0' * 64}",)}
    )
    with pytest.raises(ToolchainError) as refused:
        fetch_libraries("99", lambda line: None)
    assert "HASHES" in str(refused.value)
    assert "pip install oomph-no-such==1.0" in str(refused.value)
    assert not list(empty_cache.rglob("*.so*"))
