"""A library cut down to some cards: what stays, where it lies, and that what the host code points
at is still there."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda.backend import BASE, LIBRARY, CudaBackend
from oomph.cuda.cut import cut_library
from oomph.cuda.fatbin import Version, in_words, read_fat_binaries, read_gpu_code
from oomph.errors import ToolchainError
from oomph.measure.bench import open_bench
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.store import Store

Compile = Callable[..., Path]
NATIVE, PTX = 2, 1
SIZES = {(PTX, 75): 40, (PTX, 90): 80, (NATIVE, 86): 160, (NATIVE, 89): 24}


def entry(kind: int, arch: int, payload: bytes) -> bytes:
    """An entry as nvcc writes it: a header of 64 bytes, then the code."""
    return (
        struct.pack(
            "<HHIQIIHHIIIQQQ", kind, 0x101, 64, len(payload), 0, 0, 1, 9, arch, 0, 0, 0x8011, 0, 0
        )
        + payload
    )


def fat_binary(name: bytes) -> bytes:
    entries = b"".join(entry(*kind, name * (size // len(name))) for kind, size in SIZES.items())
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries


@pytest.fixture
def library(tmp_path: Path, compile_library: Compile) -> Path:
    """A library with two fat binaries that its wrappers point at, as a compiled CUDA program has
    them."""
    return compile_library(tmp_path / "lib.so", source("code_a", "code_b"))


def source(*registered: str) -> str:
    codes = "".join(
        f'__attribute__((used, section(".nv_fatbin"), aligned(8))) static const unsigned char '
        f"code_{name}[] = "
        f"{{{','.join(map(str, fat_binary(name.encode() * 4)))}}};\n"
        for name in "ab"
    )
    wrappers = ",".join(f"{{0x466243b1, 1, {name}, 0}}" for name in registered)
    return (
        f"{codes}struct wrapper {{ int magic, version; const void *code, *unused; }};\n"
        f'__attribute__((section(".nvFatBinSegment"))) struct wrapper wrappers[] = '
        f"{{{wrappers}}};\n"
    )


@pytest.mark.parametrize(
    ("cards", "left"),
    [
        ([(8, 9)], "native for 8.9"),
        ([(8, 6)], "native for 8.6"),
        ([(8, 7)], "native for 8.6"),
        ([(9, 0)], "PTX (ISA 9.1) for 9.0"),
        ([(10, 0)], "PTX (ISA 9.1) for 9.0"),
        ([(8, 0)], "PTX (ISA 9.1) for 7.5"),
        ([(8, 9), (9, 0)], "native for 8.9; PTX (ISA 9.1) for 9.0"),
    ],
)
def test_what_the_driver_would_choose_stays(library: Path, cards: list[Version], left: str) -> None:
    target = library.with_name("cut.so")
    cut_library(library, target, cards)
    assert in_words(read_gpu_code(target)) == left
    assert target.stat().st_size == library.stat().st_size


def test_all_but_the_code_is_as_it_was_and_the_kept_code_too(library: Path) -> None:
    target = library.with_name("cut.so")
    cut_library(library, target, [(9, 0)])
    before, after = library.read_bytes(), target.read_bytes()
    whole = read_fat_binaries(library)
    for old, new in zip(whole, read_fat_binaries(target), strict=True):
        assert new.offset == old.offset
        (kept,) = [each for each in old.entries if each.code and each.code.capability == (9, 0)]
        first = new.offset + new.header_size
        assert after[first : new.offset + new.size] == before[kept.offset : kept.offset + kept.size]
        assert not any(after[new.offset + new.size : old.offset + old.size])
    first, last = whole[0].offset, whole[-1].offset + whole[-1].size
    assert (after[:first], after[last:]) == (before[:first], before[last:])


def test_the_loaded_host_code_points_at_the_smaller_fat_binaries(library: Path) -> None:
    target = library.with_name("cut.so")
    cut_library(library, target, [(8, 9)])
    ask = (
        "import ctypes, sys; words = (ctypes.c_uint64 * 6).in_dll(ctypes.CDLL(sys.argv[1]), "
        "'wrappers');print(*(ctypes.string_at(words[i], 16 + 64 + 24).hex() for i in (1, 4)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask, str(target)], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 64 + 24) + entry(NATIVE, 89, name * 24)).hex()
        for name in (b"a", b"b")
    ]


def test_compiled_code_takes_the_place_of_ptx(library: Path) -> None:
    target = library.with_name("cut.so")
    compiled = {each.offset: entry(NATIVE, 90, b"compiled") for each in read_fat_binaries(library)}
    cut_library(library, target, [(8, 9), (9, 0)], compiled)
    assert in_words(read_gpu_code(target)) == "native for 8.9, 9.0"
    too_large = {each.offset: bytes(each.size) for each in read_fat_binaries(library)}
    with pytest.raises(ToolchainError, match="larger than what it replaces"):
        cut_library(library, target, [(9, 0)], too_large)


def test_a_card_that_it_has_nothing_for_is_named_with_what_there_is(library: Path) -> None:
    with pytest.raises(
        ToolchainError,
        match=r"no code that a card of compute capability 7\.0 takes.*PTX .* for 7\.5",
    ):
        cut_library(library, library.with_name("cut.so"), [(7, 0)])
    assert not library.with_name("cut.so").exists()


@pytest.mark.parametrize(
    "text", ["int x;", source("code_a"), source("code_a", "code_b", "code_b + 8")]
)
def test_code_that_is_registered_in_another_way_is_not_cut(
    tmp_path: Path, compile_library: Compile, text: str
) -> None:
    with pytest.raises(ToolchainError, match="leave the cut out"):
        cut_library(compile_library(tmp_path / "lib.so", text), tmp_path / "cut.so", [(9, 0)])


@pytest.mark.phantom
def test_the_real_backend_cut_to_one_card_runs_on_a_phantom_of_it(
    cuda_backend: CudaBackend, qwen3_30b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cuda" / "backend"
    folder.mkdir(parents=True)
    cut_library(cuda_backend.path, folder / LIBRARY, [(8, 9)])
    assert in_words(read_gpu_code(folder / LIBRARY)) == "native for 8.9"
    (folder / BASE).symlink_to(cuda_backend.base)
    (folder / "origin.txt").write_text(f"{cuda_backend.ggml_version}\ncut\n")
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path))
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(f'name = "s"\nmodel = "{qwen3_30b}"\n[axes]\nn_ctx = [512]\n')
    with open_bench("RTX 4090") as bench, Store(tmp_path / "out") as store:
        runner = Runner(store, bench.executor, environment=bench.environment)
        (record,) = runner.run(Sweep.load(sweep))
    assert record.outcome.label == "ok"
