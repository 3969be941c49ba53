"""A context under measurement: sequences filled in step, timed, marked and cut back."""

import ctypes
import random
import time
from typing import Any

from oomph.measure.worker.loading import StageError

GGML_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20, "bf16": 30,
}  # fmt: skip
FLASH_ATTN = {"auto": -1, "off": 0, "on": 1}
ROPE_SCALINGS = {None: -1, "none": 0, "linear": 1, "yarn": 2}


def context_params(api: Any, config: dict[str, Any]) -> Any:
    """llama_context_params for one point."""
    params = api.llama_context_default_params()
    for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "kv_unified", "swa_full", "offload_kqv", "op_offload"):
        setattr(params, name, config[name])
    params.n_outputs_max = config["n_outputs_max"] or 0
    params.n_threads = params.n_threads_batch = config["n_threads"]
    params.type_k, params.type_v = GGML_TYPES[config["type_k"]], GGML_TYPES[config["type_v"]]
    params.flash_attn_type = FLASH_ATTN[config["flash_attn"]]
    params.rope_scaling_type = ROPE_SCALINGS[config.get("rope_scaling")]
    params.rope_freq_scale = 1 / config["rope_scale"] if config.get("rope_scale") else 0.0
    params.yarn_orig_ctx = config.get("yarn_orig_ctx") or 0
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
