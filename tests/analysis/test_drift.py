"""What two libraries differ by, read from their texts alone."""

import pytest

from oomph.analysis.drift import header_in, texts_of
from oomph.errors import ToolchainError

NAMES = [b"llama", b"qwen3", b"qwen35moe", b"gemma3n", b"glm-dsa", b"rwkv7", b"t5", b"clef"]


def library(*names: bytes, texts: tuple[bytes, ...] = ()) -> bytes:
    table = b"".join(name + b"\0" for name in names)
    return b"ELF\0other\0%c\0" + table + b"(unknown)\0" + b"\0".join(texts) + b"\0"


def test_a_new_architecture_flag_and_size_line_are_found() -> None:
    new = texts_of(
        [library(*NAMES, b"k2-horizon", texts=(b"--moe-cache-mib", b"%10s cache size = %8.2f MiB"))]
    )
    old = texts_of([library(*NAMES)])
    assert new.architectures - old.architectures == {"k2-horizon"}
    assert {name.decode() for name in NAMES} <= old.architectures
    assert new.flags == {"--moe-cache-mib"}
    assert new.size_lines == {"%10s cache size = %8.2f MiB"}
    assert not old.flags | old.size_lines


def test_the_header_is_a_text_of_the_bindings() -> None:
    assert header_in('_LLAMA_H_CDEF = r"""struct a;"""\n') == "struct a;"
    with pytest.raises(ToolchainError, match="carries no llama"):
        header_in("nothing")
