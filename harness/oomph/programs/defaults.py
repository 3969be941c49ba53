"""Programs that run GGUF models: what each asks of llama.cpp while nothing is said.

The knobs that differ from RunConfig's stand at its fields (`Knob.defaults`); here is what no single
knob can hold: the build that they were read of, and what hangs on the model, the card or on whether
another knob was said.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal

from oomph.frozen import frozen
from oomph.knob import Program
from oomph.units import GIB

MODEL_CONTEXT: Final = 0
"""Stands for the context that the model was trained with, as in llama.cpp's `-c 0`."""


@frozen
class ProgramFacts:
    """`source` is where the defaults of `build` were read; `unknown` what it does not tell, for
    which llama-server's stands.

    `contexts` are n_ctx by the least memory of a card in bytes, the largest first; MODEL_CONTEXT is
    the model's own, and none goes beyond it where `is_capped`. `added_context` is what the program
    adds to a context that is said, `counts_per_slot` says that it is one slot's.
    `batches` are n_batch and n_ubatch by the longest context of a slot that they are for. Slots
    share one KV cache always, never, or while their number is not said. `keeps` logits for one
    token per slot, or for a whole batch.
    """

    title: str
    build: str
    source: str
    unknown: str = ""
    contexts: Mapping[int, int] = field(default_factory=lambda: {0: MODEL_CONTEXT})
    is_capped: bool = False
    added_context: int = 0
    counts_per_slot: bool = False
    adds_depth: bool = False
    batches: Mapping[int, int] = field(default_factory=dict)
    shares: Literal["always", "never", "uncounted"] = "never"
    keeps: Literal["slots", "batch"] = "slots"

    def context(self, memory_bytes: int | None) -> int:
        """n_ctx while nothing is said; MODEL_CONTEXT is the model's own."""
        return next(n_ctx for least, n_ctx in self.contexts.items() if (memory_bytes or 0) >= least)

    def batch(self, n_ctx: int) -> int | None:
        """n_batch and n_ubatch for a context of a slot; None where they do not hang on it."""
        return next((size for longest, size in self.batches.items() if n_ctx <= longest), None)


PROGRAMS: Final[Mapping[Program, ProgramFacts]] = {
    "llama-server": ProgramFacts(
        title="llama-server",
        build="0.5.0",
        source="llama.cpp: common/common.h, tools/server/server.cpp (slots), "
        "server-context.cpp (outputs)",
        shares="uncounted",
    ),
    "llama-cli": ProgramFacts(
        title="llama-cli",
        build="0.5.0",
        source="llama.cpp: tools/cli/cli-server.h (a server of one slot), common/arg.cpp",
    ),
    "llama-bench": ProgramFacts(
        title="llama-bench",
        build="0.5.0",
        source="llama.cpp: tools/llama-bench/llama-bench.cpp (to_llama_cparams)",
        contexts={0: 512},
        adds_depth=True,
        keeps="batch",
    ),
    "llama-cpp-python": ProgramFacts(
        title="llama-cpp-python",
        build="0.3.36",
        source="llama.cpp: llama_context_default_params, with every layer on the card as in a "
        "sweep; the class Llama has n_gpu_layers 0, n_batch 512 and no flash attention",
        contexts={0: 512},
        keeps="batch",
    ),
    "ollama": ProgramFacts(
        title="Ollama",
        build="0.33.0-rc2",
        source="ollama: server/routes.go (contexts), server/sched.go (batches), "
        "llm/llama_server.go",
        unknown="how many logits its llama-server (b10488) keeps; it lowers its batches where "
        "memory is short",
        contexts={47 * GIB: 262_144, 23 * GIB: 32_768, 0: 4096},
        is_capped=True,
        counts_per_slot=True,
        batches={4096: 512, 32_768: 1024, 1 << 31: 2048},
    ),
    "lm-studio": ProgramFacts(
        title="LM Studio",
        build="0.4",
        source="lmstudio-js: packages/lms-kv-config/src/schema.ts; its documentation",
        unknown="flash attention, sliding windows and logits: its engine is closed",
        contexts={0: 4096},
        is_capped=True,
        shares="always",
    ),
    "koboldcpp": ProgramFacts(
        title="koboldcpp",
        build="1.120",
        source="koboldcpp.py, gpttype_adapter.cpp",
        contexts={0: 12_288},
        added_context=128,
        shares="always",
        keeps="batch",
    ),
    "text-generation-webui": ProgramFacts(
        title="text-generation-webui",
        build="4.9",
        source="textgen: modules/shared.py, modules/llama_cpp_server.py",
        unknown="how many logits its llama-server keeps",
    ),
}
"""By the name that --as takes."""
