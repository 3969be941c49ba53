"""What may serve as a CUDA backend, and what is refused with the way out."""

import tarfile
from pathlib import Path

import pytest

from oomph.errors import ToolchainError
from oomph.phantom.backend import (
    CUDA_RUNTIME,
    Backend,
    ggml_version,
    install_library,
    install_tarball,
    installed_backend,
    require_match,
    wheel_libraries,
)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def backend_of(version: str) -> Backend:
    return Backend(path=Path("libggml-cuda.so"), ggml_version=version, source="test")


@pytest.mark.usefixtures("empty_cache")
def test_without_a_backend_the_error_names_the_command() -> None:
    with pytest.raises(ToolchainError, match="oomph phantom setup"):
        installed_backend()


def test_a_tarball_that_is_not_the_published_one_is_not_unpacked(empty_cache: Path, tmp_path: Path) -> None:
    tarball = tmp_path / "package.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(__file__, "package/bins/linux-x64-cuda/libggml-cuda.so")
    with pytest.raises(ToolchainError, match="sha512"):
        install_tarball(tarball)
    assert not empty_cache.exists()


def test_the_wheel_and_the_backend_must_agree_in_major_and_minor() -> None:
    wheel = wheel_libraries()
    major, minor, patch = ggml_version(wheel / "libggml-base.so.0").split(".")
    require_match(backend_of(f"{major}.{minor}.{int(patch) + 7}"), wheel)
    for other in (f"{major}.{int(minor) + 1}.0", f"{int(major) + 1}.{minor}.{patch}"):
        with pytest.raises(ToolchainError, match=f"ggml {other}"):
            require_match(backend_of(other), wheel)


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"ELF libcudart.so.12\0", "not built against CUDA 13"), (b"ELF " + CUDA_RUNTIME, "libggml-base.so beside it")],
)
def test_a_library_that_cannot_serve_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    library = tmp_path / "libggml-cuda.so"
    library.write_bytes(content)
    with pytest.raises(ToolchainError, match=complaint):
        install_library(library)


def test_a_library_that_is_no_ggml_does_not_tell_a_version(tmp_path: Path) -> None:
    (tmp_path / "libggml-base.so").write_bytes(b"no library")
    with pytest.raises(ToolchainError, match="does not tell its ggml version"):
        ggml_version(tmp_path / "libggml-base.so")
