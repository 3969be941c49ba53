"""The child that holds a model, measures what it is handed, and may die of it.

Run as a script by the executor. It imports the standard library and, inside one function, llama_cpp; nothing of
this package, because its own memory is a bias of what is measured, and because llama.cpp ends the process when CUDA
runs out. llama.cpp's log goes to file descriptors 1 and 2, which the parent has put on a file (a pipe that nobody
drains would block llama.cpp after 64 KiB).

The protocol is JSON lines. On stdin: first the job, then for each point the point and, once it is measured, the text
to score or null (the parent has read its probes by then); the end of stdin ends the worker. On the descriptor named by
the first argument: `ready`, `loaded`, then for each point `context`, `measured` and `done`, or `failed` with the stage.
All durations are nanoseconds of the monotonic clock around work that llama_synchronize has waited for.
"""

import ctypes
import json
import math
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterator
from typing import IO, Any

PR_SET_PDEATHSIG = 1
GGML_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20, "bf16": 30,
}  # fmt: skip
FLASH_ATTN = {"auto": -1, "off": 0, "on": 1}
SPLIT_MODES = {"none": 0, "layer": 1, "row": 2}
LOAD_MODES = {"auto": -1, "none": 0, "mmap": 1, "mlock": 2, "dio": 4}
LOG_DEBUG, LOG_CONTINUED = 1, 5
QUALITY_BATCH = 256
"""Tokens whose logits are held at once when a text is scored: 256 x 150,000 words x 4 bytes is 150 MB."""


class StageError(Exception):
    """llama.cpp returned an error; `stage` says at what."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class TensorOverride(ctypes.Structure):
    """llama_model_tensor_buft_override, which llama-cpp-python leaves opaque."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p))


def import_llama() -> tuple[Any, Any]:
    """llama_cpp's low-level API and the log callback to keep alive: unbuffered, so that each line is out before an
    abort, and without the debug lines, which list every node of every reserved graph."""
    import llama_cpp.llama_cpp as api

    shown = True

    @api.llama_log_callback  # type: ignore[untyped-decorator]
    def log(level: int, text: bytes, _: Any) -> None:
        nonlocal shown
        shown = shown if level == LOG_CONTINUED else level != LOG_DEBUG
        if shown:
            os.write(2, text)

    api.llama_log_set(log, ctypes.c_void_p(0))
    return api, log


def load_ggml(api: Any) -> Any:
    """ggml's own library beside libllama, for the few calls that llama.h does not carry."""
    ggml = ctypes.CDLL(os.path.join(os.path.dirname(api.__file__), "lib", "libggml.so.0"))
    for name, arguments in {
        "ggml_backend_load": [ctypes.c_char_p],
        "ggml_backend_dev_get": [ctypes.c_size_t],
        "ggml_backend_dev_buffer_type": [ctypes.c_void_p],
        "ggml_backend_cpu_buffer_type": [],
    }.items():
        getattr(ggml, name).restype, getattr(ggml, name).argtypes = ctypes.c_void_p, arguments
    ggml.ggml_backend_dev_count.restype, ggml.ggml_backend_dev_count.argtypes = ctypes.c_size_t, []
    ggml.ggml_backend_buft_name.restype, ggml.ggml_backend_buft_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    return ggml


def tensor_overrides(ggml: Any, job: dict[str, Any]) -> Any:
    """The `pattern=buffer type` list of `override_tensor`, then the experts of the first `n_cpu_moe` layers on the
    CPU (the pattern is that of llama.cpp's --n-cpu-moe), ended by an empty item; None where there are none."""
    types = {}
    for index in range(ggml.ggml_backend_dev_count()):
        buft = ggml.ggml_backend_dev_buffer_type(ggml.ggml_backend_dev_get(index))
        types[ggml.ggml_backend_buft_name(buft).decode()] = buft
    items = []
    for item in filter(None, (job["override_tensor"] or "").split(",")):
        pattern, _, name = item.rpartition("=")
        if name not in types:
            raise StageError("config", f"override_tensor names the buffer type {name!r}; there are {', '.join(types)}")
        items.append(TensorOverride(pattern.encode(), types[name]))
    cpu = ggml.ggml_backend_cpu_buffer_type()
    pattern = r"blk\.%d\.ffn_(up|down|gate|gate_up)_(ch|)exps"
    items.extend(TensorOverride((pattern % layer).encode(), cpu) for layer in range(job["n_cpu_moe"]))
    return (TensorOverride * (len(items) + 1))(*items) if items else None


def model_params(api: Any, ggml: Any, job: dict[str, Any]) -> tuple[Any, list[Any]]:
    """llama_model_params for the job, and the arrays that must outlive the load."""
    params, kept = api.llama_model_default_params(), []
    params.n_gpu_layers, params.main_gpu = job["n_gpu_layers"], job["main_gpu"]
    params.split_mode, params.load_mode = SPLIT_MODES[job["split_mode"]], LOAD_MODES[job["load_mode"]]
    if job["tensor_split"]:
        shares = list(job["tensor_split"]) + [0.0] * (api.llama_max_devices() - len(job["tensor_split"]))
        params.tensor_split = (ctypes.c_float * len(shares))(*shares)
    if job["n_expert_used"] is not None:  # the array ends with an empty key
        overrides = (api.llama_model_kv_override * 2)()
        overrides[0].key = f"{job['arch']}.expert_used_count".encode()
        overrides[0].tag, overrides[0].value.val_i64 = api.LLAMA_KV_OVERRIDE_TYPE_INT, job["n_expert_used"]
        params.kv_overrides = overrides
        kept.append(overrides)
    placed = tensor_overrides(ggml, job)
    if placed is not None:
        params.tensor_buft_overrides = ctypes.cast(placed, ctypes.c_void_p)
        kept.append(placed)
    return params, kept


def context_params(api: Any, config: dict[str, Any]) -> Any:
    """llama_context_params for one point."""
    params = api.llama_context_default_params()
    for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "kv_unified", "swa_full", "offload_kqv", "op_offload"):
        setattr(params, name, config[name])
    params.n_outputs_max = config["n_outputs_max"] or 0
    params.n_threads = params.n_threads_batch = config["n_threads"]
    params.type_k, params.type_v = GGML_TYPES[config["type_k"]], GGML_TYPES[config["type_v"]]
    params.flash_attn_type = FLASH_ATTN[config["flash_attn"]]
    return params


class Context:
    """A llama_context with `n_parallel` sequences that are filled in step: `depth` cells each."""

    def __init__(self, api: Any, model: Any, point: dict[str, Any]) -> None:
        self.api, self.config, self.workload = api, point["config"], point["workload"]
        self.handle = api.llama_init_from_model(model, context_params(api, self.config))
        if not self.handle:
            raise StageError("context", "llama_init_from_model returned NULL")
        self.memory = api.llama_get_memory(self.handle)
        self.n_ctx_seq = min(self.config["n_ctx"], api.llama_n_ctx_seq(self.handle))
        self.n_batch = api.llama_n_batch(self.handle)
        self.n_vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
        self.n_parallel = self.config["n_parallel"]
        self.keeps_state = api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model)
        self.random = random.Random(self.workload["seed"])
        self.batch = api.llama_batch_init(self.n_batch, 0, 1)
        self.depth = 0

    def close(self) -> None:
        """Give the context's memory back."""
        self.api.llama_batch_free(self.batch)
        self.api.llama_free(self.handle)

    def submit(self, tokens: list[tuple[int, int, int, bool]]) -> None:
        """Decode one batch of (token, position, sequence, wants logits)."""
        batch = self.batch
        for index, (token, position, sequence, logits) in enumerate(tokens):
            batch.token[index], batch.pos[index] = token, position
            batch.n_seq_id[index], batch.seq_id[index][0], batch.logits[index] = 1, sequence, logits
        batch.n_tokens = len(tokens)
        code = self.api.llama_decode(self.handle, batch)
        if code:
            raise StageError("decode", f"llama_decode returned {code} at depth {self.depth}")

    def prefill(self, n_tokens: int) -> int:
        """Append `n_tokens` random tokens to every sequence; nanoseconds taken."""
        rows = [
            (self.random.randrange(self.n_vocab), self.depth + index, sequence, index == n_tokens - 1)
            for sequence in range(self.n_parallel)
            for index in range(n_tokens)
        ]
        started = self.now()
        for first in range(0, len(rows), self.n_batch):
            self.submit(rows[first : first + self.n_batch])
        elapsed = self.now() - started
        self.depth += n_tokens
        return elapsed

    def decode(self, n_tokens: int) -> int:
        """Generate `n_tokens` for every sequence, one a step, as a sampler would have to; nanoseconds taken."""
        started = self.now()
        for _ in range(n_tokens):
            self.submit(
                [(self.random.randrange(self.n_vocab), self.depth, seq, True) for seq in range(self.n_parallel)]
            )
            self.api.llama_synchronize(self.handle)
            self.depth += 1
        return self.now() - started

    def now(self) -> int:
        """The clock, after everything that was submitted has been computed."""
        self.api.llama_synchronize(self.handle)
        return time.perf_counter_ns()

    def save(self) -> tuple[int, list[Any]]:
        """A mark to `restore` to. Recurrent states cannot be cut, so theirs are copied out."""
        states = []
        for sequence in range(self.n_parallel) if self.keeps_state else ():
            state = (ctypes.c_uint8 * self.api.llama_state_seq_get_size(self.handle, sequence))()
            self.api.llama_state_seq_get_data(self.handle, state, len(state), sequence)
            states.append(state)
        return self.depth, states

    def restore(self, mark: tuple[int, list[Any]]) -> None:
        """Take out what was decoded since `mark`."""
        self.depth, states = mark
        for sequence in range(self.n_parallel):
            if states:
                self.api.llama_memory_seq_rm(self.memory, sequence, -1, -1)
                self.api.llama_state_seq_set_data(self.handle, states[sequence], len(states[sequence]), sequence)
            elif not self.api.llama_memory_seq_rm(self.memory, sequence, self.depth, -1):
                raise StageError("decode", f"llama_memory_seq_rm refused to cut sequence {sequence} at {self.depth}")

    def clear(self) -> None:
        """Empty all sequences."""
        self.api.llama_memory_clear(self.memory, True)
        self.depth = 0


def median_half_width(samples: list[int]) -> float:
    """Half the distribution-free 95 % interval of the median over the median; infinite below six samples."""
    n, ordered = len(samples), sorted(samples)
    tail, rank = 0.0, 0  # the order statistics rank and n - 1 - rank enclose the median unless a tail of 2.5 % happens
    while rank < n // 2 and (tail := tail + math.comb(n, rank) / 2**n) <= 0.025:
        rank += 1
    if rank == 0:
        return math.inf
    return (ordered[n - rank] - ordered[rank - 1]) / (2 * ordered[n // 2])


def wants_more(samples: list[int], rule: dict[str, Any]) -> bool:
    """Whether the repetition rule asks for another sample of the same test."""
    if len(samples) < rule["least"]:
        return True
    if len(samples) >= rule["most"] or (rule["budget_s"] is not None and sum(samples) >= rule["budget_s"] * 1e9):
        return False
    return rule["half_width"] is None or median_half_width(samples) > rule["half_width"]


def depths_to_stop_at(context: Context) -> list[int]:
    """The workload's depths that this context can hold with a prompt and a generation on top, ascending."""
    workload = context.workload
    deepest = context.n_ctx_seq - max(workload["n_prompt"], workload["n_gen"])
    wanted = {deepest if depth == "full" else depth for depth in workload["depths"]}
    return sorted(depth for depth in wanted if 0 <= depth <= deepest)


def climb(context: Context) -> Iterator[dict[str, Any]]:
    """The depth ladder: fill once, from empty to the deepest stop, timing everything on the way.

    Each chunk of `n_prompt` tokens that fills is itself a sample of prefill at its depth. At a stop, prefill and
    decode are timed in turn, each taken out again, before the fill goes on.
    """
    workload, rule = context.workload, context.workload["repetitions"]
    n_prompt, n_gen = workload["n_prompt"], workload["n_gen"]
    chunk = n_prompt or context.n_batch
    for stop in depths_to_stop_at(context):
        while context.depth < stop:
            depth, n_tokens = context.depth, min(chunk, stop - context.depth)
            elapsed = context.prefill(n_tokens)
            if n_tokens == n_prompt:
                yield {"test": f"pp{n_prompt}", "n_tokens": n_prompt, "n_depth": depth, "samples_ns": [elapsed]}
        tests = {f"pp{n_prompt}": (context.prefill, n_prompt), f"tg{n_gen}": (context.decode, n_gen)}
        samples: dict[str, list[int]] = {name: [] for name, (_, n_tokens) in tests.items() if n_tokens}
        mark = context.save()
        while due := [name for name in samples if wants_more(samples[name], rule)]:
            for name in due:
                run, n_tokens = tests[name]
                samples[name].append(run(n_tokens))
                context.restore(mark)
        for name, taken in samples.items():
            yield {"test": name, "n_tokens": tests[name][1], "n_depth": stop, "samples_ns": taken}


def fill(context: Context, say: Any) -> None:
    """Fill to the deepest stop and on to the promise, unclocked: what a card that only counts memory can do.

    How far it is, is said on the way: a run that is cut short by an abort shows how far it came.
    """
    workload = context.workload
    for depth in depths_to_stop_at(context)[-1:]:
        while context.depth < depth:
            context.prefill(min(workload["n_prompt"] or context.n_batch, depth - context.depth))
            say("filled", n_filled=context.depth)
        mark = context.save()
        if workload["n_prompt"]:
            context.prefill(workload["n_prompt"])
            context.restore(mark)
        context.decode(workload["n_gen"])


def first_touch(context: Context) -> list[dict[str, Any]]:
    """The first prompt and token after the load, cold as a user meets them: the warm-up of all that follows."""
    workload, timings = context.workload, []
    for name, run, n_tokens in (
        ("cold_pp", context.prefill, min(workload["n_prompt"], context.n_ctx_seq - 1)),
        ("cold_tg", context.decode, min(workload["n_gen"], 1)),
    ):
        if n_tokens:
            timings.append({"test": f"{name}{n_tokens}", "n_tokens": n_tokens, "samples_ns": [run(n_tokens)]})
    context.clear()
    return timings


def tokenize(api: Any, model: Any, text: str) -> list[int]:
    """The text's tokens with the model's own beginning-of-sequence token where it wants one."""
    vocab, data = api.llama_model_get_vocab(model), text.encode()
    tokens = (api.llama_token * (len(data) + 8))()
    n_tokens = api.llama_tokenize(vocab, data, len(data), tokens, len(tokens), True, False)
    if n_tokens < 2:
        raise StageError("quality", "the text has fewer than two tokens for this model")
    return list(tokens[:n_tokens])


def negative_log_likelihoods(context: Context, tokens: list[int]) -> list[float]:
    """Nats for tokens[1:], each given all before it; one pass of `len(tokens)` positions."""
    import numpy as np  # llama_cpp has loaded it already

    api, nats = context.api, []
    step = min(QUALITY_BATCH, context.n_batch, context.config["n_outputs_max"] or QUALITY_BATCH)
    context.clear()
    for first in range(0, len(tokens) - 1, step):
        piece = tokens[first : min(first + step, len(tokens) - 1)]
        context.submit([(token, first + index, 0, True) for index, token in enumerate(piece)])
        logits = np.ctypeslib.as_array(api.llama_get_logits(context.handle), (len(piece), context.n_vocab))
        peak = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - peak).sum(axis=1, dtype=np.float64)) + peak[:, 0]
        chosen = logits[np.arange(len(piece)), tokens[first + 1 : first + 1 + len(piece)]]
        nats.extend((log_sum - chosen).tolist())
    return nats


def score(context: Context, model: Any, text: dict[str, Any]) -> dict[str, Any]:
    """Negative log-likelihood of the text by position, in passes of `n_ctx` tokens as llama-perplexity cuts them.

    Each pass begins with the model's beginning-of-sequence token, if it has one, in place of its first token.
    """
    api, vocab = context.api, context.api.llama_model_get_vocab(model)
    tokens = tokenize(api, model, text["content"])[: text["n_tokens"]]
    n_pass = min(text["n_ctx"] or len(tokens), len(tokens), context.n_ctx_seq)
    nats: list[float] = []
    for start in range(0, len(tokens) - n_pass + 1, n_pass):
        piece = tokens[start : start + n_pass]
        if api.llama_vocab_get_add_bos(vocab):
            piece[0] = api.llama_vocab_bos(vocab)
        nats.extend(negative_log_likelihoods(context, piece))
    return {"n_pass": n_pass, "nll_nats": [round(value, 5) for value in nats]}


def measure(api: Any, model: Any, commands: IO[str], say: Any, *, point: dict[str, Any]) -> None:
    """One point, from its context to its samples, said as it goes."""
    started = time.perf_counter_ns()
    context = Context(api, model, point)
    say("context", context_ns=time.perf_counter_ns() - started)
    if point["workload"]["timing"]:
        timings = first_touch(context)
        timings.extend(climb(context))
        timings = [{"n_depth": 0, "n_parallel": context.n_parallel} | timing for timing in timings]
        say("measured", timings=timings)
    else:
        fill(context, say)
        say("measured", timings=[])
    text = json.loads(commands.readline() or "null")
    quality = score(context, model, text) if text else None
    context.close()
    say("done", quality=quality)


def serve(commands: IO[str], say: Any) -> None:
    """Load as the job says, then measure point after point until `commands` ends."""
    job = json.loads(commands.readline())
    die_with(job["parent_pid"])
    limit(job)
    api, log = import_llama()
    ggml = load_ggml(api)
    if job["backend_path"] and not ggml.ggml_backend_load(job["backend_path"].encode()):
        raise StageError("backend", f"ggml could not load the backend {job['backend_path']}")
    api.llama_backend_init()
    say("ready")
    params, kept = model_params(api, ggml, job)
    started = time.perf_counter_ns()
    model = api.llama_model_load_from_file(job["model_path"].encode(), params)
    if not model:
        raise StageError("load", "llama_model_load_from_file returned NULL")
    say("loaded", load_ns=time.perf_counter_ns() - started)
    for line in commands:
        measure(api, model, commands, say, point=json.loads(line))
    api.llama_model_free(model)
    del kept, log  # C has held pointers to them until here


def die_with(parent_pid: int) -> None:
    """Let the kernel end this process when its parent dies, so that nothing keeps a card's memory."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the call
        os.kill(os.getpid(), signal.SIGKILL)


def limit(job: dict[str, Any]) -> None:
    """Set the memory limit before llama.cpp is there, and no core files: a card's worth of them fills a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if job["memory_bytes"]:
        kind = resource.RLIMIT_AS if job["memory_kind"] == "address_space" else resource.RLIMIT_DATA
        resource.setrlimit(kind, (job["memory_bytes"], job["memory_bytes"]))


def main(reply_fd: int) -> int:
    """The script: 0 when stdin ended, 1 when llama.cpp returned an error, whatever kills it otherwise."""
    with os.fdopen(reply_fd, "w") as replies:

        def say(event: str, **values: Any) -> None:
            replies.write(json.dumps({"event": event, "at_ns": time.monotonic_ns(), **values}) + "\n")
            replies.flush()

        try:
            serve(sys.stdin, say)
        except StageError as error:
            say("failed", stage=error.stage, message=str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
