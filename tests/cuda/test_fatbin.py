"""Which GPU code is read from a library: nvcc's own, the prebuilt backend's, and files that are
cut."""

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda.backend import CudaBackend
from oomph.cuda.fatbin import GpuCode, in_words, read_gpu_code
from oomph.errors import ToolchainError

Compile = Callable[..., Path]
NVCC = shutil.which("nvcc")


@pytest.mark.phantom
def test_the_prebuilt_backend_has_the_code_that_the_docs_name(cuda_backend: CudaBackend) -> None:
    code = read_gpu_code(cuda_backend.path)
    assert in_words(code) == "native for 8.6, 8.9, 12.0a, 12.1a; PTX (ISA 9.1) for 7.5, 8.0, 9.0"


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@pytest.mark.parametrize(
    ("asked", "read"),
    [
        (
            "sm_90 sm_90a sm_120a compute_75 compute_90a",
            "native for 9.0, 9.0a, 12.0a; PTX for 7.5, 9.0a",
        ),
        ("sm_120f compute_120f", "native for 12.0f; PTX for 12.0f"),
    ],
)
def test_nvccs_own_code_is_read_as_what_it_was_asked_for(
    tmp_path: Path, compile_library: Compile, asked: str, read: str
) -> None:
    source, fat = tmp_path / "kernel.cu", tmp_path / "kernel.fatbin"
    source.write_text("__global__ void kernel(float *a) { a[0] = 1; }\n")
    kinds = [
        f"-gencode=arch={arch.replace('sm_', 'compute_')},code={arch}" for arch in asked.split()
    ]
    command = [str(NVCC), "-fatbin", *kinds, str(source), "-o", str(fat)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Unsupported gpu architecture" in done.stderr:
        pytest.skip("this nvcc does not know all of them")
    assert done.returncode == 0, done.stderr
    code = read_gpu_code(compile_library(tmp_path / "lib.so", section(fat.read_bytes())))
    assert re.sub(r" \(ISA [\d.]+\)", "", in_words(code)) == read
    assert all((each.isa > (8, 0)) is each.is_ptx for each in code)


def test_code_is_counted_once_whatever_lies_between(
    tmp_path: Path, compile_library: Compile
) -> None:
    """A fat binary with native code for 8.6 and PTX for 7.5, twice, with padding between."""
    fat = fat_binary(entry(2, 86, 8, 1, 0x8011), entry(1, 75, 1, 9, 0x8011))
    library = compile_library(tmp_path / "lib.so", section(fat + bytes(24) + fat))
    assert read_gpu_code(library) == (
        GpuCode(is_ptx=False, capability=(8, 6)),
        GpuCode(is_ptx=True, capability=(7, 5), isa=(9, 1)),
    )


def test_a_library_without_gpu_code_has_none(tmp_path: Path, compile_library: Compile) -> None:
    assert read_gpu_code(compile_library(tmp_path / "lib.so", "int x;")) == ()
    assert in_words(()) == "no GPU code"


@pytest.mark.parametrize("fat", [struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 1 << 40), b"fat" * 99])
def test_damaged_code_ends_the_reading(
    tmp_path: Path, compile_library: Compile, fat: bytes
) -> None:
    """A size beyond the file is told; what is no fat binary at all has no code."""
    library = compile_library(tmp_path / "lib.so", section(fat))
    if fat.startswith(b"fat"):
        assert read_gpu_code(library) == ()
    else:
        with pytest.raises(ToolchainError, match="ends within its GPU code"):
            read_gpu_code(library)


@pytest.mark.parametrize(
    ("code", "runs", "not_on"),
    [
        (GpuCode(is_ptx=False, capability=(8, 6)), [(8, 6), (8, 9)], [(8, 0), (9, 0), (7, 5)]),
        (GpuCode(is_ptx=False, capability=(12, 0), suffix="a"), [(12, 0)], [(12, 1), (10, 0)]),
        (
            GpuCode(is_ptx=False, capability=(12, 0), suffix="f"),
            [(12, 0), (12, 1)],
            [(11, 0), (13, 0)],
        ),
        (GpuCode(is_ptx=True, capability=(7, 5)), [(7, 5), (9, 0), (12, 1)], [(7, 0), (6, 1)]),
        (GpuCode(is_ptx=True, capability=(9, 0), suffix="a"), [(9, 0)], [(10, 0)]),
    ],
)
def test_which_cards_take_which_code(
    code: GpuCode, runs: list[tuple[int, int]], not_on: list[tuple[int, int]]
) -> None:
    assert [card for card in runs + not_on if code.runs_on(card)] == runs


def entry(
    kind: int, arch: int, minor: int, major: int, flags: int, payload: bytes = b"code...."
) -> bytes:
    """An entry as nvcc writes it: a header of 64 bytes, then the code."""
    if kind == 2:
        minor, major = 8, 1
    header = struct.pack(
        "<HHIQIIHHIIIQQQ",
        kind,
        0x101,
        64,
        len(payload),
        0,
        0,
        minor,
        major,
        arch,
        0,
        0,
        flags,
        0,
        0,
    )
    return header + payload


def fat_binary(*entries: bytes) -> bytes:
    body = b"".join(entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def section(content: bytes) -> str:
    """C that puts the content where CUDA's compiler puts code."""
    numbers = ",".join(map(str, content))
    return (
        f'__attribute__((used, section(".nv_fatbin"), aligned(8))) const unsigned char code[] = '
        f"{{{numbers}}};"
    )
