"""Files and JSON from elsewhere end in one sentence, soon, whatever they are."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph import foreign
from oomph.analysis.claims import read_claims
from oomph.architectures.hf_config import read_hf_config
from oomph.config import RunConfig
from oomph.errors import ConfigError, OomphError
from oomph.estimate.coefficients import default_coefficients, read_coefficients
from oomph.measure.logs.lines import END_CHARACTERS, LINE_CHARACTERS, lines_of, read_lines
from oomph.measure.logs.outcome import classify
from oomph.measure.logs.reported import read_buffers, read_reported
from oomph.measure.sweep import Sweep
from oomph.patterns import unbounded
from oomph.records.imports import import_records


@pytest.mark.parametrize(
    "text", ["1e999", "NaN", "-Infinity", "9" * 100_000, "[" * 100_000, "{", '{"a": 1e400}']
)
def test_json_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".{3,120}"):
        foreign.parse_json(text)


def test_a_pipe_that_nobody_feeds_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "SILENCE_S", 0.1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keeps_open = os.open(pipe, os.O_RDWR)
    try:
        with pytest.raises(ConfigError, match="says nothing for"):
            foreign.read_bytes(pipe, error=ConfigError, remedy="name a file")
    finally:
        os.close(keeps_open)


def test_a_device_without_end_is_too_large() -> None:
    with pytest.raises(OomphError, match="larger than 1 MiB"):
        foreign.read_bytes("/dev/zero", error=OomphError, remedy="name a file", limit=1 << 20)


@pytest.mark.parametrize(
    "read", [read_claims, read_hf_config, Sweep.load], ids=lambda r: r.__name__
)
def test_whatever_reads_a_named_file_reads_it_within_limits(read: Callable[[Path], object]) -> None:
    with pytest.raises(OomphError, match=r"/dev/zero is larger than \d MiB"):
        read(Path("/dev/zero"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_logs_are_read_in_any_encoding_with_nul_bytes(encoding: str) -> None:
    text = "llama_context: n_ctx = 4096\x00\nx" + "y" * 10_000
    lines = lines_of(text.encode(encoding))
    assert read_reported(lines).n_ctx == 4096
    assert max(map(len, lines)) == LINE_CHARACTERS


def test_of_the_middle_of_a_long_log_what_tells_something_is_read(tmp_path: Path) -> None:
    path, idle = tmp_path / "long.log", b"slot print: nothing new\n" * 40_000
    with path.open("wb") as file:
        file.write(b"llama_context: n_ctx = 512\n")
        for _ in range(100):
            file.write(idle)
        file.write(b"CUDA error: out of memory\n")
        for _ in range(100):
            file.write(idle)
        file.write(b"the end\n")
    lines = read_lines(path)
    assert path.stat().st_size > 100 << 20
    assert sum(map(len, lines)) <= 5 * END_CHARACTERS
    assert lines[0] == "llama_context: n_ctx = 512"
    assert "CUDA error: out of memory" in lines
    assert lines[-1] == "the end"


def test_of_a_long_line_in_the_middle_its_beginning_is_searched(tmp_path: Path) -> None:
    path, idle = tmp_path / "long.log", "a" * 5_000_000
    lines = [idle, "CUDA error: out of memory " + idle, idle + "CUDA error: late", *[idle] * 3]
    path.write_text("\n".join([idle, *lines, "the end"]), encoding="utf-8")
    found = read_lines(path)
    assert any(line.startswith("CUDA error: out of memory") for line in found)
    assert not any("late" in line for line in found)


def test_a_long_line_without_an_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    with path.open("wb") as file:
        file.write(b"CUDA error: out of memory\n")
        file.truncate(200 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\nllama_context: n_ctx = 512\n")
    lines = read_lines(path)
    assert lines[0] == "CUDA error: out of memory"
    assert lines[-1] == "llama_context: n_ctx = 512"


@pytest.mark.parametrize("number", ["9" * 5000, "1e999", "²", "٣٤", "1.2.3", "nan", "-1"])
def test_numbers_that_are_none_are_not_said(number: str) -> None:
    lines = [
        f"llama_context: n_ctx = {number}",
        f"load_tensors: CUDA0 model buffer size = {number} MiB",
        f"print_info: n_expert_used = {number}",
        f"llama_context: freq_scale = {number}",
        f"allocating {number} MiB on device 0: cudaMalloc failed: out of memory",
    ]
    reported = read_reported(lines)
    assert reported.n_ctx in (None, -1)
    assert (reported.n_expert_used, reported.rope_freq_scale) == (None, None)
    assert read_buffers(lines).model_mib == {}
    assert classify(1, lines).failed


def test_no_line_takes_long() -> None:
    started = time.process_time()
    for word in ("a", "(", "| ", "= ", "using device CUDA0 (", "buffer size = ", "1.", "graph"):
        line = lines_of((word * 500_000).encode())
        classify(1, line)
        read_buffers(line)
        read_reported(line)
    assert time.process_time() - started < 4


def test_retries_take_time_in_proportion() -> None:
    lines = ["retrying without pipeline parallelism", "failed to allocate compute buffers"] * 20_000
    started = time.process_time()
    classify(0, lines)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "pattern", ["(a+)+$=CPU", "(a|aa)*b=CPU", ".*.*.*.*x=CPU", "((ab)*)*=CPU", "(" * 400 + "a"]
)
def test_an_endless_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="override_tensor has a pattern"):
        RunConfig.from_mapping({"override_tensor": pattern})
    assert unbounded(r"blk\.(1[0-9]|2[0-9])\.ffn_.*_exps\.=CPU,exps=CPU") is None


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"n_devices": 100_000}, "16 at most"),
        ({"tensor_split": [float("nan"), 1]}, "tensor_split is"),
        ({"tensor_split": [1e308, 1e308]}, "tensor_split is"),
        ({"tensor_split": ["x"]}, "tensor_split is"),
        ({"rope_scale": float("inf")}, "rope_scale is"),
        ({"rope_scale": -1.0}, "rope_scale is"),
    ],
)
def test_a_knob_that_cannot_be_is_one_sentence(knobs: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        RunConfig.from_mapping(knobs)


@pytest.mark.parametrize(
    ("axis", "says"),
    [
        ("n_ctx = {first = 1, last = 1600000000, step = 1}", "more than 10,000 values"),
        (
            "n_ctx = {first = 1, last = 9000, step = 1}\nn_batch = {first = 1, last = 9000}",
            "81,000,000 points",
        ),
    ],
)
def test_a_sweep_without_end_is_refused(axis: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Sweep.parse(f'name = "x"\nmodel = "m"\n[axes]\n{axis}\n')


def test_recursive_sql_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_text(
        "CREATE TABLE llama_bench AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM r) "
        "SELECT x FROM r; -- INSERT INTO"
    )
    started = time.monotonic()
    with pytest.raises(OomphError, match="is not what llama-bench"):
        import_records(path)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"matvec.bandwidth_share": ', '"matvec.bandwidth_share": 1e999, "x": '),
        ('"matvec.bandwidth_share": ', '"matvec.bandwidth_share": 0, "x": '),
        ('"matvec.bandwidth_share": ', '"matvec.bandwidth_share": "1", "x": '),
        ('"matvec.bandwidth_share"', '"matvec.other"'),
        ('"interval_widths": {', '"interval_widths": {"a": {"b": -1}, '),
        ('"covered": {', '"covered": {"a": [2, 1], '),
        ('"seen": {', '"seen": {"a": [1], '),
        ('"calibrated_on": {', '"calibrated_on": {"families": "x"'),
    ],
)
def test_a_calibration_that_cannot_be_is_named_by_its_key(
    tmp_path: Path, old: str, new: str
) -> None:
    text = default_coefficients().to_json()
    assert old in text
    path = tmp_path / "calibration.json"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(OomphError, match=r"calibration\.json: no coefficients of oomph"):
        read_coefficients(path)
