"""Instructions that not every CPU with AVX2 knows are found in a wheel's libraries, by real
disassembly."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.bundle.portable import is_built, needed_glibc, portable_wheel, require_portable
from oomph.errors import ToolchainError

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("objdump")),
    reason="a C compiler and objdump are not installed",
)
SUM = (
    "float sum(const float *a) { float s = 0; for (int i = 0; i < 1024; i++) s += a[i] * a[i]; "
    "return s; }"
)
MASKED = (
    "#include <immintrin.h>\n__m256 f(__m256 a, __m256 b, __mmask8 m) { return "
    "_mm256_mask_add_ps(a, m, a, b); }"
)
Wheel = Callable[..., Path]


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    """`wheel("-mavx2")` is a wheel whose library sums a thousand products with these
    instructions."""

    def make(*flags: str, source: str = SUM) -> Path:
        library, path = tmp_path / "libggml-cpu.so", tmp_path / "llama.whl"
        command = [
            "cc",
            "-O3",
            "-ffast-math",
            "-shared",
            "-fPIC",
            *flags,
            "-x",
            "c",
            "-",
            "-o",
            str(library),
        ]
        subprocess.run(command, input=source, text=True, check=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(library, "llama_cpp/lib/libggml-cpu.so")
        return path

    return make


def test_avx2_is_portable(wheel: Wheel) -> None:
    require_portable(wheel("-mavx2", "-mfma"))


def test_avx_512_is_not_whatever_its_width(wheel: Wheel) -> None:
    wide = wheel("-mavx512f", "-mprefer-vector-width=512")
    with pytest.raises(
        ToolchainError, match=r"libggml-cpu\.so .* not every CPU with AVX2 knows \(`v.*%zmm"
    ):
        require_portable(wide)
    masked = wheel("-mavx512f", "-mavx512vl", source=MASKED)
    with pytest.raises(ToolchainError, match=r"\(`.*%k"):
        require_portable(masked)


def test_a_disassembly_that_saw_no_avx_proves_nothing(wheel: Wheel) -> None:
    with pytest.raises(ToolchainError, match="no library with AVX instructions"):
        require_portable(wheel())


def test_the_glibc_that_a_library_asks_for_is_read(wheel: Wheel) -> None:
    assert (2, 17) <= needed_glibc(wheel()) < (3, 0)


def test_the_built_wheel_is_portable_and_brings_its_openmp() -> None:
    if not is_built():
        pytest.skip(
            "the portable llama.cpp is not built; `oomph bundle` builds it in about 7 minutes"
        )
    require_portable(portable_wheel())
    with zipfile.ZipFile(portable_wheel()) as archive:
        assert "llama_cpp/lib/libgomp.so.1" in archive.namelist()
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        assert "llama_cpp/lib/libgomp.so.1,sha256=" in archive.read(record).decode()
