"""How far a program had come at a line of its log, with which context, and whether it worked.

A program makes several contexts: the target's, a draft model's, that of an MTP head, a projector's;
llama-server keeps prompts and checkpoints besides. llama.cpp names them at their beginning and at
their failure, and hardly in between.
"""

import re
from enum import Enum
from functools import cache, lru_cache
from typing import Final

from oomph.measure.logs.phrases import Phrases

REMEMBERED: Final = 1 << 17
"""Lines whose meaning is kept: logs repeat themselves, and are read more than once."""


class Phase(Enum):
    """How far the program had come when a line was printed."""

    WEIGHTS = "weights"
    KV_CACHE = "kv_cache"
    COMPUTE = "compute"
    RUN = "run"


class Context(Enum):
    """What a line is about; the value is the word that is shown."""

    TARGET = "target"
    DRAFT = "draft"
    MTP = "mtp"
    PROJECTOR = "projector"
    PROMPT_CACHE = "prompt_cache"
    CHECKPOINT = "checkpoint"


_PHASES: Final[dict[Phase, tuple[str, ...]]] = {
    Phase.RUN: (
        r"warming up the model|update_slots|launch_slot|slot +\w+:|prompt processing",
        r"generate: n_ctx|n_kv_max =|eval time|print_timings|server is listening|listening on http",
        r"all slots are idle|llama_decode|process_ubatch|llama_perf|perplexity:|create_check",
        r"sampler (?:seq|chain|params)|decode: |model loaded|total VRAM used|runner started",
        r"prompt_save|prompt_load|updating prompt cache|(?:encoding|decoding) image|image slice",
    ),
    Phase.COMPUTE: (
        r"sched_reserve|graph_reserve|compute buffer|graph nodes|pipeline parallelism enabled",
        r"worst-case|VRAM scratch buffer|reserving (?:full|worst)",
        r"VRAM kv self|[Kk][Vv] self size",
        r"warmup with (?:image|audio) size|alloc_compute_meta",
    ),
    Phase.KV_CACHE: (
        r"llama_kv_cache|llama_memory_|constructing llama_context|KV buffer size|RS buffer size",
        r"llama_context:? +n_ctx|(?:new_context_with|init_from)_model: n_\w+ +=|kv_cache_init",
        r"creating .*KV cache",
    ),
    Phase.WEIGHTS: (
        r"load_tensors|llama_model_loader|print_meta|print_info|model_load_internal",
        r"loaded meta data|loading model|llama_load_model|using device [A-Z]\w*\d",
        r"clip_model_loader|clip_model_load|buffer_set_tensor",
    ),
}
_CONTEXTS: Final[dict[Context, str]] = {
    Context.MTP: r"\bMTP\b.{0,40}(?:context|layers|head)|(?:context|creat\w+).{0,40}\bMTP\b",
    Context.PROJECTOR: r"\bclip_|\bCLIP\b|mmproj|(?:alloc|reserve)_compute_meta|warmup: |mtmd"
    r"|multimodal|warmup with (?:image|audio) size"
    r"|image slice|(?:encoding|decoding) (?:image|audio)|load_hparams: |process_chunk|process_mtmd",
    Context.DRAFT: r"draft (?:model|context)|[Ss]peculative (?:decoding )?context|draft\.model",
    Context.PROMPT_CACHE: r"prompt_save|prompt_load|prompt cache|get_availabl",
    Context.CHECKPOINT: r"create_check|context checkpoint|restored? checkpoint",
    Context.TARGET: r"main: (?:loading model|model loaded)|load_model: loading model"
    r"|server is listening|listening on http|update_slots|launch_slot|slot +\w+: id"
    r"|slots are idle|kv cache rm",
}
_WORKED: Final = (
    r"server is listening|server listening|listening on http|slots are idle",
    r"(?:main|llama_server): model loaded|msg=\"loaded runners\"",
    r"eval time =|llama_perf|print_timing|llama_print_timings|\d tokens per second",
    r"\|[^|]{0,40}(?:pp|tg) ?\d+[^|]{0,40}\|[^|]{0,40}\d\.\d+ ± \d",
    r"^\|(?: {0,12}\d+(?:\.\d+)? \|){6,}",
    r"^\[1\][0-9.]{3,12},\[2\]|Final estimate: PPL|\[ Prompt: .{0,20}t/s|\[end of text\]",
    r"llama runner started in|Load Text Model OK: True|Please connect to custom endpoint",
    r"prompt cache update took|cache state: \d+ prompts|run slots completed",
    r"stop processing: n_|prompt eval|main: decoded \d+ tokens|Uvicorn running on",
    r"POST /\S{0,200}[ \"][^|]{0,60}\b20[01]\b|\| +20[01] +\|.{0,80}POST",
    r"log_server_r: (?:done )?request: POST \S{1,200} \S{1,60} 200",
    r"(?:exit(?:ed)?(?: with)?(?: status| code)*|status)[ =:]{1,3}0(?:/SUCCESS)?\b|returned 0\b",
    r"Model loaded successfully|loaded (?:model|successfully) in \d",
)
_ANSWERED: Final = re.compile(
    r"eval time =|stop processing: n_|release: .{0,40}stop|print_timing|20[01] +\|.{0,80}POST"
)
_FAMILIAR: Final = re.compile(
    r"\bllama|\bggml|\bgguf|GGUF|GGML|llm_load|load_tensors|print_info|sched_reserve|graph_reserve"
    r"|^srv |^slot |\bclip_|mtmd|common_|ollama|kobold|cuBLAS|CUDA|cuda|ROCm|rocBLAS|hip[A-Z]"
    r"|[Vv]ulkan|\bvk::|SYCL|sycl|UR_RESULT|Metal|MTL|kIOGPU|OpenCL|CL_|CANN|amdgpu|NVRM|[Oo][Oo][Mm]"
    r"|n_gpu_layers|num_gpu|n_ctx|\bmain: |lmstudio|LM Studio|exit code|Exit code|[Kk]illed"
    r"|core dumped|Segmentation|Aborted|std::|\| *(?:model|PP) .*\|.*t/s"
)


@cache
def _phases() -> tuple[tuple[Phase, Phrases], ...]:
    return tuple((phase, Phrases(patterns)) for phase, patterns in _PHASES.items())


@cache
def _contexts() -> tuple[tuple[Context, Phrases], ...]:
    return tuple((context, Phrases([pattern])) for context, pattern in _CONTEXTS.items())


@cache
def _worked() -> Phrases:
    return Phrases(_WORKED)


@lru_cache(REMEMBERED)
def phase_of(line: str) -> Phase | None:
    """The phase that the line belongs to, None where it does not say."""
    return next((phase for phase, phrases in _phases() if phrases.found_in(line)), None)


@lru_cache(REMEMBERED)
def context_of(line: str) -> Context | None:
    """Which context the line names, None where it names none."""
    return next((context for context, phrases in _contexts() if phrases.found_in(line)), None)


@lru_cache(REMEMBERED)
def shows_work(line: str) -> bool:
    """Whether the line is one that only a program prints that did what it was for: it listens,
    answers, counts tokens, or ended with 0."""
    return _worked().found_in(line)


def shows_answer(line: str) -> bool:
    """Whether the line ends a piece of work, as a prompt that was answered."""
    return _ANSWERED.search(line) is not None


def is_familiar(line: str) -> bool:
    """Whether the line is one of llama.cpp, of a program around it, or of the system about
    them."""
    return _FAMILIAR.search(line) is not None
