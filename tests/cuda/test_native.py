"""PTX in a library becomes native code by NVIDIA's ptxas, and NVIDIA's own tools find it in the cut
library."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda import native
from oomph.cuda.cut import cut_library
from oomph.cuda.fatbin import in_words, read_gpu_code
from oomph.errors import ToolchainError

Compile = Callable[..., Path]
KERNEL = """.version 9.1
.target sm_80
.address_size 64
.visible .entry twice_NAME(.param .u64 place)
{
    .reg .b64 %rd<3>; .reg .f32 %f<3>;
    ld.param.u64 %rd1, [place];
    cvta.to.global.u64 %rd2, %rd1;
    ld.global.f32 %f1, [%rd2];
    add.f32 %f2, %f1, %f1;
ROOM
    st.global.f32 [%rd2], %f2;
    ret;
}
"""


@pytest.fixture(scope="session")
def tools() -> Path:
    """NVIDIA's ptxas, fatbinary and cuobjdump, from the cache or from PyPI."""
    return native.tools()


@pytest.fixture
def library(tmp_path: Path, tools: Path, compile_library: Compile) -> Path:
    """A library with PTX for 8.0 of two kernels, packed by `fatbinary` and registered as CUDA
    programs do it."""
    return compile_library(tmp_path / "lib.so", source(tmp_path, tools, KERNEL))


def source(folder: Path, tools: Path, kernel: str) -> str:
    codes = ""
    for name in "ab":
        text, fat = folder / f"{name}.ptx", folder / f"{name}.fatbin"
        room = (
            "    mul.f32 %f1, %f1, %f1;\n" * 300
        )  # what nothing uses is not compiled; so native code has room
        text.write_text(kernel.replace("NAME", name).replace("ROOM", room))
        image = f"--image3=kind=ptx,sm=80,file={text}"
        subprocess.run(
            [tools / "fatbinary", "-64", "--compress-mode=none", image, f"--create={fat}"],
            check=True,
        )
        codes += (
            f'__attribute__((used, section(".nv_fatbin"), aligned(8))) static const unsigned char '
            f"code_{name}[] = "
        )
        codes += f"{{{','.join(map(str, fat.read_bytes()))}}};\n"
    return (
        f"{codes}struct wrapper {{ int magic, version; const void *code, *unused; }};\n"
        '__attribute__((section(".nvFatBinSegment"))) struct wrapper wrappers[] = '
        "{{0x466243b1, 1, code_a, 0}, {0x466243b1, 1, code_b, 0}};\n"
    )


def test_a_library_with_ptx_alone_becomes_one_with_native_code(
    library: Path, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    (cache / "cuda").mkdir(parents=True)
    (cache / "cuda" / tools.parent.parent.name).symlink_to(tools.parent.parent)
    monkeypatch.setenv("OOMPH_CACHE", str(cache))
    said: list[str] = []
    compiled = native.compile_native(library, (9, 0), said.append)
    assert len(said) == 1
    target = tmp_path / "cut.so"
    cut_library(library, target, [(9, 0)], compiled)
    assert in_words(read_gpu_code(target)) == "native for 9.0"
    symbols = subprocess.run(
        [tools / "cuobjdump", "--dump-elf-symbols", target],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [line.split()[-1] for line in symbols.splitlines() if "twice_" in line] == [
        "twice_a",
        "twice_b",
    ], symbols
    assert native.compile_native(library, (9, 0), said.append) == compiled
    assert len(said) == 1, "what was compiled is compiled once"
    assert native.compile_native(target, (9, 0), said.append) == {}


def test_what_ptxas_refuses_is_told_in_its_words(
    tmp_path: Path, tools: Path, compile_library: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = compile_library(
        tmp_path / "lib.so", source(tmp_path, tools, KERNEL.replace("add.f32", "adds.f32"))
    )
    cache = tmp_path / "cache" / "cuda"
    cache.mkdir(parents=True)
    (cache / tools.parent.parent.name).symlink_to(tools.parent.parent)
    monkeypatch.setenv("OOMPH_CACHE", str(cache.parent))
    with pytest.raises(
        ToolchainError, match=r"ptxas could not compile the backend \(.*; leave --cuda-arch out"
    ):
        native.compile_native(library, (9, 0), print)


def test_without_the_tools_the_sentence_says_what_pip_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "TOOLS", ("nvidia-cuda-nvcc==0.0.0",))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        ToolchainError, match=r"pip could not fetch NVIDIA's ptxas \(.*nvidia-cuda-nvcc==0\.0\.0"
    ):
        native.tools()
    assert not list((tmp_path / "cuda").iterdir())
