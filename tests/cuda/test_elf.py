"""What is read from an ELF library, held against small ones compiled on the spot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda.elf import read_elf
from oomph.errors import ToolchainError

Compile = Callable[..., Path]
SOURCE = """
int there(void); int perhaps(void) __attribute__((weak));
int here(void) { return there() + (perhaps ? perhaps() : 0); }
"""


def test_what_a_library_needs_imports_and_exports(tmp_path: Path, compile_library: Compile) -> None:
    other = compile_library(
        tmp_path / "libother.so", "int there(void) { return 1; }", soname="libother.so.7"
    )
    found = read_elf(
        compile_library(tmp_path / "lib.so", SOURCE, soname="lib.so.3", needs=(other,))
    )
    assert found.soname == "lib.so.3"
    assert found.needed[0] == "libother.so.7"
    assert "there" in found.imports
    assert "perhaps" not in found.imports, "a weak symbol need not be there"
    assert "here" in found.exports
    assert found.sections[".text"].size > 0


def test_a_library_cut_anywhere_is_one_sentence(tmp_path: Path, compile_library: Compile) -> None:
    whole = compile_library(tmp_path / "lib.so", SOURCE, needs=()).read_bytes()
    cut = tmp_path / "cut.so"
    for size in range(1, len(whole), 257):  # the table of sections lies at the end
        cut.write_bytes(whole[:size])
        with pytest.raises(ToolchainError, match=r"cut\.so is no whole 64-bit ELF library"):
            read_elf(cut)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(100)])
def test_what_is_no_64_bit_elf_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    with pytest.raises(ToolchainError, match="no whole 64-bit ELF library"):
        read_elf(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="cannot be read"):
        read_elf(tmp_path / "lib.so")
