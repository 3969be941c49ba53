"""How a run ended, held against logs of many builds, and against logs that only sound bad."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.measure.logs.cases import CASES, CUDA_ALLOC, POOL
from typer.testing import CliRunner

from oomph.cli.app import app
from oomph.measure.logs.outcome import classify
from oomph.records.schema import LABELS


@pytest.mark.parametrize(("label", "exit_code", "log"), CASES)
def test_each_ending_gets_its_label(label: str, exit_code: int | None, log: str) -> None:
    assert classify(exit_code, log.splitlines()).outcome == label


@pytest.mark.parametrize(
    "prefix",
    ["", "0.52.003.528 E ", "May 15 08:57:36 host llama-server[4711]: ", "web  | ", "\x1b[31m"],
)
@pytest.mark.parametrize(("label", "exit_code", "log"), [case for case in CASES if "\n" in case[2]])
def test_a_prefix_before_each_line_changes_nothing(
    label: str, exit_code: int | None, log: str, prefix: str
) -> None:
    assert classify(exit_code, [prefix + line for line in log.splitlines()]).outcome == label


def test_the_shortfall_is_what_was_asked_less_what_was_left() -> None:
    log = [
        "llama_model_load_from_file_impl: using device CUDA0 (NVIDIA GeForce RTX 4090) "
        "(0000:01:00.0) - 24000 MiB free",
        "load_tensors:        CUDA0 model buffer size = 17524.43 MiB",
        CUDA_ALLOC.format(8448.00),
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for "
        "kv cache",
    ]
    found = classify(1, log)
    assert found.refusal is not None
    assert found.refusal.short_mib == pytest.approx(8448 - (24000 - 17524.43))
    assert found.advice.startswith("1,972 MiB short on CUDA0")
    assert found.stage == "kv_cache"


@pytest.mark.parametrize(
    "line",
    ["Killed", "run.sh: line 3: 4711 Killed  llama-server", "exit status 137", "signal: killed"],
)
def test_a_shells_word_of_a_kill_is_none_of_memory_where_the_kernel_counted_none(line: str) -> None:
    """A pasted log may be the only trace of the kernel's kill; beside its counter it is a word."""
    log = ["load_tensors: loading", line]
    assert classify(1, log).outcome == "host_oom"
    assert classify(1, log, oom_killed=True).outcome == "host_oom"
    assert classify(1, log, oom_killed=False).outcome == "killed"
    said = [*log, "llama.cpp: std::bad_alloc"]
    assert classify(1, said, oom_killed=False).outcome == "host_oom"


def test_a_kill_is_for_memory_where_the_kernel_counted_one() -> None:
    loading = ["load_tensors: loading"]
    assert classify(-9, loading, oom_killed=True).outcome == "host_oom"
    assert classify(-9, loading).outcome == "killed"
    assert classify(-15, loading, oom_killed=True).outcome == "killed", (
        "the kernel kills with SIGKILL"
    )
    assert classify(-6, loading, oom_killed=True).outcome == "crash"
    assert classify(-9, POOL.splitlines()).outcome == "oom_runtime", (
        "what llama.cpp said goes before"
    )


def test_a_timeout_yields_to_a_cause_in_the_log() -> None:
    assert classify(-9, ["load_tensors: loading"], timed_out=True).outcome == "timeout"
    assert classify(-9, POOL.splitlines(), timed_out=True).outcome == "oom_runtime"


def test_the_evidence_begins_with_the_line_that_decides() -> None:
    log = [
        "warning: failed to mlock 9-byte buffer",
        CUDA_ALLOC.format(9),
        "llama_kv_cache: failed to allocate buffer for kv cache",
    ]
    assert classify(1, log).evidence == tuple(log[1:])


@given(st.integers() | st.none(), st.lists(st.text(max_size=80), max_size=8), st.booleans())
def test_any_text_gets_a_label_and_advice(
    exit_code: int | None, log: list[str], timed_out: bool
) -> None:
    found = classify(exit_code, log, timed_out=timed_out)
    assert found.outcome in LABELS
    assert found.advice
    assert found.failed == (found.outcome not in ("ok", "not_an_error"))


def test_work_without_the_card_that_was_not_found_is_said() -> None:
    found = classify(None, ["ggml_vulkan: No devices found.", "main: server is listening"])
    assert found.advice.startswith("the program worked without the card")
    assert "check the driver" in found.advice


def test_the_command_prints_one_json_object(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(POOL)
    printed = CliRunner().invoke(app, ["classify", str(log), "--exit-code", "-6", "--json"])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout)["outcome"] == "oom_runtime"
    assert set(json.loads(printed.stdout)) == {
        "outcome",
        "stage",
        "context",
        "device",
        "when",
        "waits",
        "evidence",
        "advice",
        "runs",
    }


def test_the_page_on_logs_tells_every_outcome(repository: Path) -> None:
    page = (repository / "docs" / "logs.md").read_text()
    assert [label for label in LABELS if f"`{label}`" not in page] == []


@pytest.mark.parametrize("exit_code", [-4, 132])
def test_an_illegal_instruction_is_a_crash_with_its_way_out(exit_code: int) -> None:
    found = classify(exit_code, ["llama_context: n_ctx = 512"])
    assert found.outcome == "crash"
    assert "-mno-amx-tile" in found.advice
    assert "-mno-amx-tile" not in classify(-11, ["llama_context: n_ctx = 512"]).advice
