"""Several runs in one log are told apart, one after another or mixed."""

from oomph.measure.logs.runs import classify_runs, decisive, split_runs

BEGINS = "ggml_cuda_init: found 1 CUDA devices:"
LOADS = "llama_model_loader: loaded meta data with 46 key-value pairs from m.gguf (version GGUF V3)"
REFUSED = [
    "allocating 9.00 MiB on device 0: cudaMalloc failed: out of memory",
    "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv "
    "cache",
    "srv  llama_server: exiting due to model loading error",
]
LISTENS = "main: server is listening on http://127.0.0.1:8080"


def outcomes(lines: list[str]) -> list[str]:
    return [run.outcome for run in classify_runs(split_runs(lines))]


def test_a_log_of_one_run_is_one() -> None:
    lines = [BEGINS, "load_backend: loaded CUDA backend from x.so", LOADS, LISTENS]
    assert [list(map(str, run)) for run in split_runs(lines)] == [lines]


def test_a_service_that_is_started_again_leaves_a_run_each() -> None:
    lines = [BEGINS, LOADS, *REFUSED, BEGINS, LOADS, *REFUSED, BEGINS, LOADS, LISTENS]
    assert outcomes(lines) == ["oom_kv", "oom_kv", "ok"]


def test_the_reader_asks_about_the_last_run_that_failed() -> None:
    runs = classify_runs(split_runs([BEGINS, LOADS, *REFUSED, BEGINS, LOADS, LISTENS]))
    assert decisive(runs) is runs[0]
    runs = classify_runs(split_runs([BEGINS, LOADS, *REFUSED, BEGINS, LOADS]))
    assert decisive(runs).outcome == "oom_kv", "a run that is not over says less"


def test_the_routers_children_are_told_apart_though_their_lines_are_mixed() -> None:
    lines = [f"[ 1001] {BEGINS}", f"[ 1002] {BEGINS}", f"[ 1001] {LOADS}", f"[ 1002] {LOADS}"]
    lines += [f"[ 1001] {line}" for line in REFUSED[:2]] + [f"[ 1002] {LISTENS}"]
    lines += [f"[ 1001] {REFUSED[2]}"]
    assert outcomes(lines) == ["oom_kv", "ok"]


def test_what_systemd_and_the_kernel_say_belongs_to_the_run_before() -> None:
    lines = [
        f"Aug 27 11:21:10 box llama[7]: {LOADS}",
        "Aug 27 11:21:11 box kernel: Out of memory: Killed process 7 (llama-server)",
        "Aug 27 11:21:11 box systemd[1]: llama.service: Main process exited, code=killed, "
        "status=9/KILL",
        f"Aug 27 11:21:21 box llama[8]: {LOADS}",
        f"Aug 27 11:21:22 box llama[8]: {LISTENS}",
    ]
    assert outcomes(lines) == ["host_oom", "ok"]


def test_a_retry_is_no_new_run() -> None:
    lines = [BEGINS, LOADS, REFUSED[0], "model load failed, resetting", BEGINS, LOADS, LISTENS]
    assert outcomes(lines) == ["not_an_error"]


def test_the_exit_code_is_the_last_runs() -> None:
    runs = classify_runs(split_runs([BEGINS, LOADS, LISTENS, BEGINS, LOADS]), 139)
    assert [run.outcome for run in runs] == ["ok", "crash"]


def test_an_empty_log_is_one_run_that_says_nothing() -> None:
    assert outcomes([]) == ["unknown"]
