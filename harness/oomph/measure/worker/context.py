"""A context under measurement: sequences filled in step, timed, marked and cut back."""

import ctypes
import os
import random
import time
from typing import Any

from oomph.measure.worker.loading import StageError
from oomph.measure.worker.protocol import Point

Mark = tuple[int, list[Any]]
"""A depth to come back to, and the sequences' states there where they cannot be cut."""


def context_params(api: Any, values: dict[str, Any]) -> Any:
    """llama_context_params with these fields set."""
    params = api.llama_context_default_params()
    for name, value in values.items():
        setattr(params, name, value)
    return params


class Context:
    """A llama_context with `n_parallel` sequences that are filled in step: `depth` cells each."""

    def __init__(self, api: Any, model: Any, point: Point) -> None:
        self.api, self.config, self.workload = api, point["config"], point["workload"]
        self.handle = api.llama_init_from_model(model, context_params(api, point["params"]))
        if not self.handle:
            raise StageError("context", "llama_init_from_model returned NULL")
        self.memory = api.llama_get_memory(self.handle)
        self.n_ctx_seq = min(self.config["n_ctx"], api.llama_n_ctx_seq(self.handle))
        self.n_batch = api.llama_n_batch(self.handle)
        self.n_vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
        self.n_parallel = self.config["n_parallel"]
        self.keeps_state = api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model)
        self.random = random.Random(self.workload["seed"])
        self.depth = 0
        self.cpu_ns = 0  # processor time of all threads in the last timed call

    @property
    def fills_the_host(self) -> bool:
        """Whether all work is on the host and takes every processor that this process may use.

        Then threads that wait for each other spin, and a call that got less than all processor time
        was disturbed.
        """
        n_cpus = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        return not self.config["n_devices"] and self.config["n_threads"] >= n_cpus

    def close(self) -> None:
        """Give the context's memory back."""
        self.api.llama_free(self.handle)

    def batches(self, tokens: list[tuple[int, int, int, bool]]) -> list[Any]:
        """(token, position, sequence, wants logits) as the llama_batches of at most n_batch tokens
        that hold them."""
        return [
            self._batch(tokens[first : first + self.n_batch])
            for first in range(0, len(tokens), self.n_batch)
        ]

    def submit(self, tokens: list[tuple[int, int, int, bool]]) -> None:
        """Decode tokens, in as many batches as they need."""
        self._decode(self.batches(tokens))

    def prefill(self, n_tokens: int) -> int:
        """Append `n_tokens` random tokens to every sequence; nanoseconds taken."""
        batches = self.batches(
            [
                (
                    self.random.randrange(self.n_vocab),
                    self.depth + index,
                    sequence,
                    index == n_tokens - 1,
                )
                for sequence in range(self.n_parallel)
                for index in range(n_tokens)
            ]
        )
        started, cpu = self.now(), time.process_time_ns()
        self._decode(batches)
        elapsed = self.now() - started
        self.cpu_ns = time.process_time_ns() - cpu
        self.depth += n_tokens
        return elapsed

    def decode(self, n_tokens: int) -> int:
        """Generate `n_tokens` for every sequence, one per step, as a sampler would have to;
        nanoseconds taken."""
        steps = [
            self.batches(
                [
                    (self.random.randrange(self.n_vocab), depth, seq, True)
                    for seq in range(self.n_parallel)
                ]
            )
            for depth in range(self.depth, self.depth + n_tokens)
        ]
        started, cpu = self.now(), time.process_time_ns()
        for step in steps:
            self._decode(step)
            self.api.llama_synchronize(self.handle)
            self.depth += 1
        elapsed = self.now() - started
        self.cpu_ns = time.process_time_ns() - cpu
        return elapsed

    def _batch(self, tokens: list[tuple[int, int, int, bool]]) -> Any:
        """One llama_batch over arrays of its own, made before the clock runs: a fast card decodes
        512 tokens in the time in which Python fills the fields of twenty."""
        n, (ids, positions, sequences, logits) = len(tokens), zip(*tokens, strict=True)
        owners = (ctypes.c_int32 * n)(*sequences)
        first = ctypes.addressof(owners)
        pointers = (ctypes.c_void_p * n)(*range(first, first + 4 * n, 4))
        arrays: tuple[Any, ...] = (
            (ctypes.c_int32 * n)(*ids),
            (ctypes.c_int32 * n)(*positions),
            (ctypes.c_int32 * n)(*[1] * n),
            pointers,
            (ctypes.c_int8 * n)(*logits),
        )
        batch = self.api.llama_batch(n_tokens=n)
        for name, array in zip(
            ("token", "pos", "n_seq_id", "seq_id", "logits"), arrays, strict=True
        ):
            setattr(batch, name, ctypes.cast(array, type(getattr(batch, name))))
        # kept alive with it, as ctypes keeps only what a field itself points to
        batch.owners = owners
        return batch

    def _decode(self, batches: list[Any]) -> None:
        for batch in batches:
            code = self.api.llama_decode(self.handle, batch)
            if code:
                raise StageError("decode", f"llama_decode returned {code} at depth {self.depth}")

    def now(self) -> int:
        """The clock, after everything that was submitted has been computed."""
        self.api.llama_synchronize(self.handle)
        return time.perf_counter_ns()

    def save(self) -> Mark:
        """A mark to `restore` to. Recurrent states cannot be cut, so theirs are copied out."""
        states = []
        for sequence in range(self.n_parallel) if self.keeps_state else ():
            state = (ctypes.c_uint8 * self.api.llama_state_seq_get_size(self.handle, sequence))()
            self.api.llama_state_seq_get_data(self.handle, state, len(state), sequence)
            states.append(state)
        return self.depth, states

    def restore(self, mark: Mark) -> None:
        """Take out what was decoded since `mark`."""
        depth, states = mark
        if not self.keeps_state:
            self.cut_back(depth)
            return
        self.depth = depth
        for sequence, state in enumerate(states):
            self.api.llama_memory_seq_rm(self.memory, sequence, -1, -1)
            self.api.llama_state_seq_set_data(self.handle, state, len(state), sequence)

    def cut_back(self, depth: int) -> None:
        """Take out every cell from `depth` on: only where the model keeps no state."""
        self.depth = depth
        for sequence in range(self.n_parallel):
            if not self.api.llama_memory_seq_rm(self.memory, sequence, depth, -1):
                raise StageError(
                    "decode", f"llama_memory_seq_rm refused to cut sequence {sequence} at {depth}"
                )

    def clear(self) -> None:
        """Empty all sequences."""
        self.api.llama_memory_clear(self.memory, True)
        self.depth = 0
