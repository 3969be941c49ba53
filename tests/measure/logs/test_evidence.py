"""`ok` needs a sign of success: silence, foreign text and unknown errors get no such label."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.measure.logs.cases import BENIGN, FAILED, WORKED

from oomph.measure.logs.lines import read_lines
from oomph.measure.logs.outcome import classify

LOGS = Path(__file__).parents[2] / "data" / "logs"
LOADED = [
    "llama_model_loader: loaded meta data with 46 key-value pairs from m.gguf (version GGUF V3)",
    "llama_context: n_ctx         = 16384",
    "llama_context:      CUDA0 compute buffer size =   352.77 MiB",
]


def test_text_that_is_no_log_is_told_so() -> None:
    found = classify(None, ["hello"])
    assert found.outcome == "unknown"
    assert found.failed
    assert found.advice.startswith("no line of this is llama.cpp's")


def test_a_log_that_ends_early_says_what_is_missing() -> None:
    found = classify(None, LOADED)
    assert (found.outcome, found.evidence) == ("unknown", ())
    assert "the model was loaded, and the log ends before" in found.advice


@pytest.mark.parametrize("line", WORKED)
def test_a_sign_of_work_is_ok(line: str) -> None:
    assert classify(None, [*LOADED, line]).outcome == "ok"


def test_an_exit_code_of_0_is_ok_and_another_is_not() -> None:
    assert classify(0, LOADED).outcome == "ok"
    assert classify(1, LOADED).outcome == "crash"


def test_an_error_that_nobody_knows_is_quoted() -> None:
    strange = "frobnicator: cannot bend the spoon"
    found = classify(None, [*LOADED, strange, "quiet"])
    assert (found.outcome, found.evidence) == ("unknown", (strange,))


@pytest.mark.parametrize("prefix", ["0.52.003.528 E ", "[ERROR] ", "ERROR: "])
def test_a_line_at_the_level_of_errors_is_quoted_whatever_it_says(prefix: str) -> None:
    found = classify(None, [*LOADED, f"{prefix}frobnicator: spoon"])
    assert (found.outcome, found.evidence) == ("unknown", ("frobnicator: spoon",))


def test_an_error_before_the_work_is_over_and_one_after_it_is_not() -> None:
    error, work = "frobnicator: cannot bend the spoon", "main: server is listening on http://x"
    assert classify(None, [*LOADED, error, work]).outcome == "ok"
    assert classify(None, [*LOADED, work, error]).outcome == "unknown"


@pytest.mark.parametrize(
    "asked",
    [
        "srv log_server_r: request: GET /health 127.0.0.1 200",
        '[GIN] 2025/10/30 - 00:12:12 | 200 |  1.2ms | 127.0.0.1 | GET      "/api/tags"',
    ],
)
def test_a_look_at_its_health_is_no_work(asked: str) -> None:
    error = "0.52.003.528 E frobnicator: giving up"
    assert classify(None, [*LOADED, error, asked]).outcome == "unknown"


def test_a_request_that_failed_among_others_is_harmless() -> None:
    good = '[GIN] 2025/10/30 - 00:12:12 | 200 |  1.2s | 127.0.0.1 | POST     "/api/generate"'
    bad = good.replace("| 200 |", "| 500 |")
    assert classify(None, [*LOADED, good, bad, good]).outcome == "not_an_error"
    assert classify(None, [*LOADED, good, bad]).outcome == "unknown"


@pytest.mark.parametrize("line", ["the model has crashed", "x.exe has stopped working", "it died"])
def test_words_of_other_programs_that_sound_like_failures_are_quoted(line: str) -> None:
    assert classify(None, [*LOADED, line]).evidence == (line,)


def test_advice_leaves_out_what_is_so_already() -> None:
    refused = [
        "allocating 9.00 MiB on device 0: cudaMalloc failed: out of memory",
        "graph_reserve: failed to allocate compute buffers",
    ]
    assert "flash attention" in classify(1, refused).advice
    fused = ["llama_context: flash_attn    = enabled", *refused]
    assert "flash attention" not in classify(1, fused).advice


def test_an_allocation_that_was_retried_is_harmless_and_one_that_is_needed_later_waits() -> None:
    refused = [
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 372.08 MiB on device 0: cudaMalloc "
        "failed: out of memory",
        "ggml_gallocr_reserve_n_impl: failed to allocate CUDA0 buffer of size 390156544",
    ]
    listens = ["main: server is listening on http://127.0.0.1:8081", "srv update_slots: idle"]
    retry = ["sched_reserve: compute buffer allocation failed, retrying without pipeline"]
    retry[0] += " parallelism"
    assert classify(None, [*LOADED, *refused, *retry, *listens]).outcome == "not_an_error"
    warm_up = ["warmup: warmup with image size = 1472 x 1472"]
    waits = classify(None, [*LOADED, *warm_up, *refused, *listens])
    assert (waits.outcome, waits.context, waits.when, waits.waits) == (
        "oom_compute",
        "projector",
        "image",
        True,
    )
    assert "--no-mmproj-offload" in waits.advice
    assert waits.failed


@pytest.mark.parametrize(
    ("name", "outcome", "context", "says", "says_not"),
    [
        ("mtp-head-missing", "bad_config", "mtp", "no MTP head", "n_gpu_layers"),
        ("sycl-out-of-device-memory", "oom_runtime", None, "reserve", "Xid"),
        ("ollama-memory-layout", "oom_weights", None, "num_gpu", "nothing to mend"),
        ("slot-capped", "not_an_error", None, "capped: 320,000 tokens were asked for", "ran on"),
        ("mtp-context-refused", "oom_compute", "mtp", "--spec-draft-n-max", "flash attention"),
        ("warmup-refused-server-up", "oom_compute", "projector", "fewer image tokens", "ran on"),
        ("prompt-cache-oom", "host_oom", "prompt_cache", "--cache-ram", "mmap"),
        ("split-mode-tensor", "bad_config", None, "--split-mode layer", "nothing to mend"),
        ("old-names", "oom_compute", None, "4,256 MiB were refused on CUDA0", "n_gpu_layers"),
        ("two-cards", "oom_kv", None, "981 MiB short on CUDA1", "experts"),
        ("docker-compose", "unknown", None, "the model was loaded", "nothing to mend"),
    ],
)
def test_a_log_from_the_field(
    name: str, outcome: str, context: str | None, says: str, says_not: str
) -> None:
    found = classify(None, read_lines(LOGS / f"{name}.log"))
    assert (found.outcome, found.context) == (outcome, context)
    assert says in found.advice
    assert says_not not in found.advice


@pytest.mark.parametrize(
    ("lines", "says", "says_not"),
    [
        (["CUDA error: an illegal memory access was encountered"], "xid", "amdgpu"),
        (["Memory access fault by GPU node-1 on address 0x7f"], "amdgpu", "xid"),
        (["amdgpu 0000:c2:00.0: ring gfx_0.0.0 timeout, signaled seq=1"], "amdgpu", "xid"),
        (["vk::Queue::submit: ErrorDeviceLost"], "n_ubatch", "xid"),
        (["error: (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)"], "macOS", "x"
         "id"),
        (["UR_RESULT_ERROR_DEVICE_LOST"], "driver", "xid"),
    ],
)  # fmt: skip
def test_advice_speaks_of_the_backend_that_failed(
    lines: list[str], says: str, says_not: str
) -> None:
    found = classify(None, lines)
    assert found.outcome == "device_lost"
    assert says in found.advice
    assert says_not not in found.advice


def test_the_graphs_size_is_laid_to_what_the_log_shows() -> None:
    line = "ggml_new_object: not enough space in the context's memory pool (needed 2, available 1)"
    experts = classify(-6, ["print_info: n_expert_used         = 26", line]).advice
    assert "fewer active experts" in experts
    tensor = classify(-6, ["llama_kv_cache: Meta() KV buffer size = 1.00 MiB", line]).advice
    assert "--split-mode layer" in tensor
    assert "experts" not in tensor


@pytest.mark.parametrize(
    ("before", "when"),
    [
        ([], "load"),
        (["main: server is listening on http://x"], "first_prompt"),
        (["main: server is listening on http://x", "slot print_timing: eval time = 9 ms"], "later"),
        (["main: server is listening on http://x", "encoding image slice..."], "image"),
    ],
)
def test_when_it_failed(before: list[str], when: str) -> None:
    refused = [
        "CUDA error: out of memory",
        "  current device: 0, in function alloc at ggml-cuda.cu:527",
    ]
    assert classify(None, [*LOADED, *before, *refused]).when == when


def test_a_log_that_leaves_the_run_out_does_not_tell_when_it_failed() -> None:
    refused = ["CUDA error: out of memory", "  current device: 0, in function alloc at x.cu:527"]
    found = classify(None, [LOADED[0], *refused])
    assert (found.outcome, found.when) == ("oom_runtime", None)


@given(
    st.sampled_from(FAILED),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(BENIGN)), max_size=20),
    st.sampled_from(["", "0.52.003.528 E ", "May 15 08:57:36 host llama[7]: ", "web  | ", "> "]),
    st.lists(st.sampled_from(WORKED), max_size=2),
)
def test_a_failure_among_other_lines_is_never_ok(
    log: tuple[str, ...], noise: list[tuple[int, str]], prefix: str, before: list[str]
) -> None:
    lines = [*before, *log]
    for at, line in noise:
        lines.insert(at % (len(lines) + 1), line)
    assert classify(None, [prefix + line for line in lines]).failed
