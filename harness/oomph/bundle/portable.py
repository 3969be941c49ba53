"""Builds llama-cpp-python for any x86-64 CPU with AVX2, and proves it by disassembly.

An ordinary build has the instructions of the CPU that it was built on (GGML_NATIVE) and dies of an
illegal instruction on an older one. This one stops at AVX2, FMA, F16C and BMI2, which every x86-64
server since 2015 has, and brings the OpenMP runtime that it was linked with. It is built once, in
about 7 minutes on 2 cores, and kept in the cache folder.
"""

import base64
import csv
import fcntl
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from oomph.errors import ToolchainError
from oomph.paths import cache_folder

CPU_FLAGS: Final = ("avx", "avx2", "fma", "f16c", "bmi2")
"""As /proc/cpuinfo names them; each is a GGML_ option of llama.cpp's CMake files too."""
_CMAKE_ARGS: Final = " ".join(
    ("-DGGML_NATIVE=OFF", *(f"-DGGML_{flag.upper()}=ON" for flag in CPU_FLAGS))
)
_NEWER: Final = re.compile(r"%zmm\d|%[xy]mm(?:1[6-9]|2\d|3[01])\b|%k[0-7]\b|%tmm\d|\{vex\}")
"""AVX-512's wide registers, its upper 16 and its masks; AMX's tiles; AVX-VNNI: as objdump writes
them."""
_AVX: Final = "%ymm"
_GLIBC: Final = re.compile(r"\(?GLIBC_(\d+)\.(\d+)")
_PACKAGE: Final = "llama-cpp-python"
_LIBRARIES: Final = "llama_cpp/lib/"
_OPENMP: Final = "libgomp.so.1"


def portable_wheel() -> Path:
    """llama-cpp-python of the installed version as a wheel for any CPU with AVX2, from the cache or
    built now.

    ToolchainError without a compiler or binutils, where the build fails, or where newer
    instructions are in it.
    """
    wanted = _installed_version()
    folder = _folder(wanted)
    with _locked(folder):
        if built := sorted(folder.glob("*.whl")):
            return built[0]
        for program, package in (("c++", "build-essential"), ("objdump", "binutils")):
            if shutil.which(program) is None:
                raise ToolchainError(
                    f"{program} is needed to build llama.cpp; on Debian: apt-get install {package}"
                )
        with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
            wheel = _build(f"{_PACKAGE}=={wanted}", Path(scratch))
            _add_file(wheel, _openmp_runtime(), f"{_LIBRARIES}{_OPENMP}")
            require_portable(wheel)
            return wheel.replace(folder / wheel.name)


def is_built() -> bool:
    """Whether `portable_wheel` finds it in the cache."""
    return any(_folder(_installed_version()).glob("*.whl"))


def require_portable(wheel: Path) -> None:
    """ToolchainError where a library in `wheel` has instructions beyond AVX2, or none has AVX and
    nothing is proven."""
    with_avx = False
    for name, library in _libraries(wheel):
        newer, avx = _instructions(library)
        if newer:
            raise ToolchainError(
                f"{name} in {wheel.name} has instructions that not every CPU with AVX2 knows "
                f"(`{newer}`); build it with GGML_NATIVE=OFF"
            )
        with_avx = with_avx or avx
    if not with_avx:
        raise ToolchainError(
            f"{wheel.name} has no library with AVX instructions; it was not built for {_CMAKE_ARGS}"
        )


def needed_glibc(wheel: Path) -> tuple[int, int]:
    """The newest glibc whose symbols a library in `wheel` asks for, as (2, 34)."""
    needed = {(2, 17)}
    for _, library in _libraries(wheel):
        done = subprocess.run(
            ["objdump", "-T", library], capture_output=True, text=True, check=True
        )
        needed |= {(int(major), int(minor)) for major, minor in _GLIBC.findall(done.stdout)}
    return max(needed)


def _installed_version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        raise ToolchainError(f"{_PACKAGE} is not installed; run `pip install {_PACKAGE}`") from None


def _folder(wanted: str) -> Path:
    return cache_folder() / "wheels" / f"llama_cpp_python-{wanted}-portable-x86_64"


def _build(requirement: str, folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-binary",
        _PACKAGE,
        "--no-cache-dir",
        "--wheel-dir",
        str(folder),
        requirement,
    ]
    environment = os.environ | {"CMAKE_ARGS": _CMAKE_ARGS}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = next(
            (line for line in done.stderr.splitlines() if "error" in line.lower()),
            "pip said nothing",
        )
        raise ToolchainError(
            f"llama.cpp could not be built ({reason.strip()}); mend it, and run `oomph bundle` "
            "again"
        )
    return wheels[0]


def _openmp_runtime() -> Path:
    done = subprocess.run(
        ["c++", f"-print-file-name={_OPENMP}"], capture_output=True, text=True, check=True
    )
    found = Path(done.stdout.strip())
    if not found.is_absolute():
        raise ToolchainError(
            f"{_OPENMP} is not where the compiler looks; on Debian: apt-get install libgomp1"
        )
    return found.resolve()


def _add_file(wheel: Path, file: Path, name: str) -> None:
    """Add `file` as `name`, with its line in RECORD."""
    fresh = wheel.with_suffix(".new")
    content = file.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow((name, f"sha256={digest}", len(content)))
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            data = old.read(member)
            new.writestr(
                member,
                data + line.getvalue().encode() if member.filename.endswith("/RECORD") else data,
            )
        new.write(file, name)
    fresh.replace(wheel)


def _libraries(wheel: Path) -> Iterator[tuple[str, Path]]:
    """Name and a copy of each library that llama_cpp loads; llama.cpp's build leaves each there
    under several names."""
    seen: set[str] = set()
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory(prefix="oomph-") as scratch:
        for name in archive.namelist():
            if not name.startswith(_LIBRARIES) or ".so" not in name:
                continue
            copy = Path(archive.extract(name, scratch))
            digest = hashlib.sha256(copy.read_bytes()).hexdigest()
            if digest not in seen:
                seen.add(digest)
                yield name.removeprefix(_LIBRARIES), copy


def _instructions(library: Path) -> tuple[str | None, bool]:
    """The first instruction beyond AVX2, and whether there is one of AVX."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", str(library)]
    avx = False
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if _NEWER.search(line):
                process.kill()
                return " ".join(line.split()[1:]), avx
            avx = avx or _AVX in line
    return None, avx


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two bundles at once build one wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
