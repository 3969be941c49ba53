"""What may serve as a CUDA backend, and what is refused with the way out."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda.backend import (
    BASE,
    HOST_BASE,
    LIBRARY,
    CudaBackend,
    ggml_version,
    install_library,
    install_tarball,
    installed_backend,
    require_match,
    wheel_libraries,
)
from oomph.errors import ToolchainError

Compile = Callable[..., Path]


def backend_of(version: str, folder: Path) -> CudaBackend:
    """The wheel's own ggml under another version, so that it differs in nothing else."""
    for name in (LIBRARY, BASE):
        shutil.copy(wheel_libraries() / HOST_BASE, folder / name)
    return CudaBackend(path=folder / LIBRARY, ggml_version=version, source="test")


@pytest.mark.usefixtures("empty_cache")
def test_without_a_backend_the_error_names_the_command() -> None:
    with pytest.raises(ToolchainError, match="oomph phantom setup"):
        installed_backend()


def test_a_tarball_that_is_not_the_published_one_is_not_unpacked(
    empty_cache: Path, tmp_path: Path
) -> None:
    tarball = tmp_path / "package.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(__file__, "package/bins/linux-x64-cuda/libggml-cuda.so")
    with pytest.raises(ToolchainError, match="sha512"):
        install_tarball(tarball)
    assert not empty_cache.exists()


def test_the_wheel_and_the_backend_must_agree_in_major_and_minor(tmp_path: Path) -> None:
    wheel = wheel_libraries()
    major, minor, patch = ggml_version(wheel / HOST_BASE).split(".")
    require_match(backend_of(f"{major}.{minor}.{int(patch) + 7}", tmp_path), wheel)
    for other in (f"{major}.{int(minor) + 1}.0", f"{int(major) + 1}.{minor}.{patch}"):
        with pytest.raises(ToolchainError, match=f"ggml {other}"):
            require_match(backend_of(other, tmp_path), wheel)


@pytest.mark.usefixtures("empty_cache")
def test_a_library_that_cannot_serve_is_refused(tmp_path: Path, compile_library: Compile) -> None:
    lib = tmp_path / LIBRARY
    with pytest.raises(ToolchainError, match="is no file"):
        install_library(lib)
    lib.write_bytes(b"\x7fELF\x02\x01 and no more")
    with pytest.raises(ToolchainError, match="no whole 64-bit ELF library"):
        install_library(lib)
    compile_library(lib, "int x;")
    with pytest.raises(ToolchainError, match="built without CUDA's run time"):
        install_library(lib)
    for major, complaint in (
        ("12", "libggml-base.so beside it"),
        ("13", "libggml-base.so beside it"),
    ):
        cudart = compile_library(tmp_path / f"libcudart.so.{major}", "int y;")
        compile_library(lib, "int x;", needs=(cudart,))
        with pytest.raises(ToolchainError, match=complaint):
            install_library(lib)
    shutil.copy(wheel_libraries() / HOST_BASE, tmp_path / BASE)
    compile_library(lib, "int x;", needs=(tmp_path / "libcudart.so.12",))
    with pytest.raises(ToolchainError, match="not built against CUDA 13"):
        install_library(lib)
    compile_library(lib, "int x;", needs=(tmp_path / "libcudart.so.13",))
    assert install_library(lib).source == str(lib)


@pytest.mark.usefixtures("empty_cache")
def test_a_backend_of_another_ggml_is_refused_by_what_differs(
    tmp_path: Path, compile_library: Compile
) -> None:
    """One that imports what this ggml does not export, and one whose operations have other
    numbers."""
    cudart = compile_library(tmp_path / "libcudart.so.13", "int y;")
    lib = compile_library(
        tmp_path / LIBRARY,
        "void ggml_of_tomorrow(void); void f(void) { ggml_of_tomorrow(); }",
        needs=(cudart,),
    )
    shutil.copy(wheel_libraries() / HOST_BASE, tmp_path / BASE)
    with pytest.raises(
        ToolchainError, match=r"imports ggml_of_tomorrow, which llama\.cpp's ggml lacks"
    ):
        install_library(lib)
    compile_library(lib, "int x;", needs=(cudart,))
    compile_library(tmp_path / BASE, other_ggml(ggml_version(wheel_libraries() / HOST_BASE)))
    with pytest.raises(ToolchainError) as refused:
        install_library(lib)
    assert "operation 1 is SUB to the backend and DUP to llama.cpp" in str(refused.value)
    assert "a tensor takes 400 bytes for the backend and 368 for llama.cpp" in str(refused.value)


def other_ggml(version: str) -> str:
    """A libggml-base that tells other numbers and sizes under the same version."""
    return f"""
    #include <stddef.h>
    const char *ggml_version(void) {{ return "{version}"; }}
    static const char *const ops[] = {{"NONE", "SUB", 0}};
    const char *ggml_op_name(int i) {{ return ops[i]; }}
    const char *ggml_unary_op_name(int i) {{ return i ? 0 : "ABS"; }}
    const char *ggml_glu_op_name(int i) {{ return i ? 0 : "REGLU"; }}
    const char *ggml_type_name(int i) {{ return i ? 0 : "f32"; }}
    size_t ggml_type_size(int i) {{ return 4; }}
    long ggml_blck_size(int i) {{ return 1; }}
    size_t ggml_tensor_overhead(void) {{ return 400; }}
    size_t ggml_graph_overhead(void) {{ return 82608; }}
    """


def test_a_library_that_is_no_ggml_does_not_tell_a_version(tmp_path: Path) -> None:
    (tmp_path / "libggml-base.so").write_bytes(b"no library")
    with pytest.raises(ToolchainError, match="does not tell its ggml version"):
        ggml_version(tmp_path / "libggml-base.so")
