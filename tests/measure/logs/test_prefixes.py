"""What stands before a line is taken off, whoever put it there, and says level and process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.measure.logs.prefixes import without_prefix

LINE = "llama_context: n_ctx = 4096"
PREFIXES = [
    ("", "", ""),
    ("Aug 27 11:21:10 box llama[55781]: ", "", "llama[55781]"),
    ("Mär  3 11:21:10 box llama-server[7]: ", "", "llama-server[7]"),
    ("2025-08-27T11:21:10.123456+0200 box llama[55781]: ", "", "llama[55781]"),
    ("llama[55781]: ", "", "llama[55781]"),
    ("llama-1  | ", "", "llama-1"),
    ("llama-1  | 2025-11-01 14:13:27 [DEBUG] ", "D", "llama-1"),
    ("[pod/llama-7d9f/server] ", "", "pod/llama-7d9f/server"),
    ("[ 6985] 0.19.990.269 I ", "I", "6985"),
    ("[12345.678901] ", "", ""),
    ("2025-11-01T14:13:27.123456789Z ", "", ""),
    ("2025-11-01 14:13:27,123 - INFO - ", "I", ""),
    ("[2025-11-01 14:13:27][ERROR] ", "E", ""),
    ("14:13:27-123456 WARNING  ", "W", ""),
    ("4:21PM DBG GRPC(gemma-127.0.0.1:39281): stderr ", "D", "gemma-127.0.0.1:39281"),
    ("0.52.003.528 E ", "E", ""),
    ("Aug 27 11:21:10 box llama[55781]: 0.15.079.615 W ", "W", "llama[55781]"),
    ("\x1b[31m", "", ""),
    ("> ", "", ""),
    ("[LM STUDIO SERVER] ", "", ""),
    ("2025-11-01T14:13:27.123456789Z stderr F ", "", ""),
    ("INFO:llama_cpp.server:", "I", ""),
    ("2025-11-01T14:13:27Z [info] ", "I", ""),
    ("<34>1 2025-11-01T14:13:27Z box llama 4711 - - ", "", "llama 4711"),
    ("[qwen3-30b] ", "", ""),
]


@pytest.mark.parametrize(("prefix", "level", "stream"), PREFIXES)
def test_a_prefix_is_taken_off_and_says_level_and_process(
    prefix: str, level: str, stream: str
) -> None:
    line = without_prefix(prefix + LINE)
    assert (str(line), line.level, line.stream) == (LINE, level, stream)


@pytest.mark.parametrize(
    ("printed", "text", "level"),
    [
        (
            'time=2025-10-30T00:12:12.000Z level=WARN source=server.go:1274 msg="a \\"b\\" c" n=1',
            'a "b" c n=1',
            "W",
        ),
        ("time=2025-10-30T00:12:12.000Z level=ERROR source=a.go:1 msg=gone", "gone", "E"),
        ("INFO [                    main] build info | build=3604", "build info | build=3604", "I"),
        (' ERR [      load_model] unable to load model | tid="1"', None, "E"),
        ('{"log":"llama_context: n_ctx = 4096\\n","stream":"stderr","time":"x"}', LINE, ""),
        ('{"level":"error","msg":"llama_context: n_ctx = 4096"}', LINE, "E"),
        (
            "May 15 08:57:36 red kernel: llama-server[80906]: segfault at 2 ip 0",
            "llama-server[80906]: segfault at 2 ip 0",
            "",
        ),
    ],
)
def test_a_wrapped_message_is_unwrapped(printed: str, text: str | None, level: str) -> None:
    line = without_prefix(printed)
    assert line == (text or 'unable to load model | tid="1"')
    assert line.level == level


@pytest.mark.parametrize(
    "line",
    [
        "|   - CUDA0 (RTX 3090)   | 24135 = 22500 + (1119 =   372 +     448 +     298) + 515 |",
        "| model | size | params | backend | ngl | test | t/s |",
        "- CUDA0   : NVIDIA GeForce RTX 3090 (24252 MiB, 23991 MiB free)",
        "Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes",
        "build: 6910 (961660b8c) with GCC",
        "Error: 500 Internal Server Error",
        "main: error: unable to load model",
        "CUDA error: out of memory",
    ],
)
def test_what_a_program_prints_itself_is_left_alone(line: str) -> None:
    assert without_prefix(line) == line
    assert without_prefix(f"2025-11-01T14:13:27.123456789Z {line}") == line


@given(st.text(max_size=200))
def test_any_text_gives_a_line(text: str) -> None:
    line = without_prefix(text)
    assert line.level in ("", "E", "W", "I", "D")
    assert len(line) <= len(text)
