"""Exit codes of POSIX and of Windows, in each of the ways in which they are printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.errors import ConfigError
from oomph.measure.logs.exit_codes import (
    ending_of,
    is_no_memory,
    logged_ending,
    read_exit_code,
)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (0, "done", "0"),
        (-6, "crash", "SIGABRT"),
        (134, "crash", "SIGABRT"),
        (139, "crash", "SIGSEGV"),
        (137, "killed", "SIGKILL"),
        (143, "ended", "SIGTERM"),
        (0xC0000409, "crash", "0xC0000409"),
        (-1073740791, "crash", "0xC0000409"),
        (18446744072635810825, "crash", "0xC0000409"),
        (18446744072635812000, "crash", "0xC0000409"),
        (3221225477, "crash", "0xC0000005"),
        (-1073741819, "crash", "0xC0000005"),
        (0xC0000135, "missing", "DLL"),
        (0xC000013A, "ended", "Ctrl-C"),
    ],
)
def test_a_code_is_put_in_words(code: int, kind: str, said: str) -> None:
    ending = ending_of(code)
    assert ending is not None
    assert ending.kind == kind
    assert said in ending.text


@pytest.mark.parametrize("code", [1, 2, 255, 128, 124])
def test_a_programs_own_code_says_only_that_it_failed(code: int) -> None:
    assert ending_of(code) is None


def test_windows_tells_want_of_memory() -> None:
    assert is_no_memory(0xC000012D)
    assert not is_no_memory(0xC0000005)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("Exit code: 18446744072635812000", 18446744072635812000),
        ("exited with code 0xC0000409", 0xC0000409),
        ("llama.service: Main process exited, code=exited, status=1/FAILURE", 1),
        ("llama.service: Main process exited, code=killed, status=9/KILL", 137),
        ("llama.service: Main process exited, code=dumped, status=6/ABRT", 134),
        ("exit status 2", 2),
        ("Process exited with code: 134.", 134),
        ("srv log_server_r: request: GET /health 127.0.0.1 200", None),
        ("returned 5.3 tokens", None),
    ],
)
def test_a_line_tells_the_code(line: str, code: int | None) -> None:
    assert logged_ending(line) == code


@given(st.integers(min_value=-(1 << 70), max_value=1 << 70))
def test_any_code_is_read(code: int) -> None:
    ending = ending_of(code)
    assert ending is None or str(code) in ending.text


def test_a_code_is_given_as_it_is_printed() -> None:
    assert read_exit_code("0xC0000409") == 0xC0000409
    assert read_exit_code("-6") == -6
    with pytest.raises(ConfigError, match="whole number"):
        read_exit_code("SIGSEGV")
