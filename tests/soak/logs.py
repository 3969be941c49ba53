"""Logs of llama.cpp programs with lines changed, and failures cut, mixed and prefixed: what `oomph
classify` and `oomph import` read."""

from pathlib import Path
from random import Random
from typing import Final

from tests.measure.logs.cases import BENIGN, FAILED, WORKED
from tests.soak.case import TEXTS, Case, Part, mutated_bytes, wrong_numbers

from oomph.advise.exchange import import_results
from oomph.advise.failed_run import classify_log
from oomph.measure.logs.imported import is_log, read_log
from oomph.measure.logs.lines import read_lines
from oomph.measure.logs.outcome import classify
from oomph.views.outcome import outcome_json

LINES: Final = (
    "llama_model_loader: loaded meta data with 28 key-value pairs and 311 tensors from /m/x.gguf "
    "(version GGUF V3 (latest))",
    "print_info: arch             = qwen3",
    "print_info: general.name     = Qwen3 0.6B",
    "print_info: file size        = 378.90 MiB (5.07 BPW)",
    "print_info: model params     = 596.05 M",
    "print_info: n_expert_used    = 0",
    "llama_model_load_from_file_impl: using device CUDA0 (NVIDIA GeForce RTX 3090) (0000:01:00.0) "
    "- 23871 MiB free",
    "load_tensors: offloaded 29/29 layers to GPU",
    "load_tensors:        CUDA0 model buffer size =   372.65 MiB",
    "llama_context: n_ctx         = 4096",
    "llama_context: n_ctx_seq     = 4096",
    "llama_context: n_batch       = 2048",
    "llama_context: n_ubatch      = 512",
    "llama_context: flash_attn    = auto",
    "llama_context: kv_unified    = false",
    "llama_context: freq_base     = 1000000.0",
    "llama_context: freq_scale    = 1",
    "llama_kv_cache:      CUDA0 KV buffer size =   448.00 MiB",
    "llama_kv_cache: size =  448.00 MiB (4096 cells, 28 layers), K (f16):  224.00 MiB, V (f16): "
    "224.00 MiB",
    "llama_context: Flash Attention was auto, set to enabled",
    "sched_reserve:      CUDA0 compute buffer size =   298.75 MiB",
    "sched_reserve: graph nodes  = 959",
    "sched_reserve: graph splits = 2",
    "build: 6910 (961660b8c)",
    "| memory breakdown [MiB] | total   free     self   model   context   compute    unaccounted |",
    "|   - CUDA0 (RTX 3090)   | 24135 = 22500 + (1119 =   372 +     448 +     298) +         515 |",
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 448.00 MiB on device 0: cudaMalloc "
    "failed: out of memory",
    "alloc_tensor_range: failed to allocate CUDA0 buffer of size 469762048",
    "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv "
    "cache",
    "CUDA error: out of memory",
    "Killed process 4242 (llama-server) total-vm:25134168kB",
    "[NVM] Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus.",
)
NUMBERS: Final = (
    "1e999", "-1", "nan", "inf", "²", "٣٤", "9" * 5000, "9" * 100_000, "0", "1.2.3", "....", "",
    "1e-999", "4096" * 20, "0x10", "1_0",
)  # fmt: skip


def _changed(line: str, source: Random) -> str:
    """The line with one of its words another number, doubled, or very long."""
    words = line.split(" ")
    at = source.randrange(len(words))
    kind = source.randrange(6)
    if kind < 3:
        words[at] = source.choice(NUMBERS)
    elif kind == 3:
        words[at] = source.choice(TEXTS)
    elif kind == 4:
        words[at] *= source.choice((2, 50, 20_000))
    else:
        return line + source.choice((" ", "|", "(", "= ", "a", ". ")) * source.choice((10, 200_000))
    return " ".join(words)


PREFIXES: Final = (
    "", "0.52.003.528 E ", "May 15 08:57:36 host llama-server[4711]: ", "web-1  | ", "[ 6985] ",
    "2025-11-01T14:13:27.123456789Z ", "2025-11-01 14:13:27 [DEBUG] ", "> ", "\x1b[31m",
    "[pod/llama/server] ", "4:21PM DBG GRPC(x-127.0.0.1:39281): stderr ",
)  # fmt: skip


def make(source: Random) -> Case:
    """A log of lines in nearly their order, some changed, in some encoding; or a failure among
    other lines."""
    return _failure(source) if source.random() < 0.5 else _changed_log(source)


def _failure(source: Random) -> Case:
    """The line that decides a failure, some of those around it, noise between them, behind the
    prefixes of one or two processes."""
    log = source.choice(FAILED)
    deciding = classify(None, log).evidence[0]
    at = next(at for at, line in enumerate(log) if deciding in line)
    kept = [*log[source.randint(0, at) : at], *log[at : source.randint(at + 1, len(log))]]
    prefix = source.choice(PREFIXES)
    lines = [prefix + line for line in [*source.sample(WORKED, source.randint(0, 2)), *kept]]
    for _ in range(source.choice((0, 1, 5, 30))):
        noise = source.choice((prefix, source.choice(PREFIXES))) + source.choice(BENIGN)
        lines.insert(source.randint(0, len(lines)), noise)
    return Case("failure", source.choice(("\n", "\r\n")).join(lines).encode())


def _changed_log(source: Random) -> Case:
    lines = [line for line in LINES if source.random() < 0.9]
    for _ in range(source.choice((0, 1, 2, 5))):
        at = source.randrange(len(lines))
        lines[at] = _changed(lines[at], source)
    if source.random() < 0.1:
        lines *= source.choice((10, 200))
    text = source.choice(("\n", "\n", "\r\n", "\r", "\x00\n")).join(lines)
    encoding = source.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-32", "latin-1"))
    data = text.encode(encoding, errors="replace")
    return Case("log", mutated_bytes(data, source) if source.random() < 0.3 else data)


def attempt(case: Case, folder: Path) -> str | None:
    """Classify the log, and import it where it is one."""
    path = folder / "run.log"
    path.write_bytes(case.data)
    if case.kind == "failure" and not classify_log(read_lines(path)).found.failed:
        return "a log with a failure's line in it was called ok"
    wrong = list(wrong_numbers(outcome_json(classify_log(read_lines(path), 1))))
    if is_log(path):
        wrong += [each for record in read_log(path) for each in wrong_numbers(record.model_dump())]
    import_results([path], folder / "results", model=None, gpu=None)
    return wrong[0] if wrong else None


LOGS: Final = Part(usual=2_000, make=make, attempt=attempt)
