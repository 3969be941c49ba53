"""What parent and worker say to each other: JSON lines, each of one of these shapes.

The parent says a `Job`, then for each point a `Point` and, once it is measured, `Questions` or
null. The worker answers with events, each a line with `event`, `at_ns` (its monotonic clock) and
what else the event's shape below holds. Both sides import this, so it is of the standard library
alone. Durations end in `_ns`, sizes in `_bytes`; by card is by llama.cpp's name of the device.
"""

from collections.abc import Callable
from typing import Any, Literal, TypedDict

Say = Callable[..., None]
"""The worker's way to say an event: its name, and by keyword what its shape holds."""

READY = "ready"
"""llama.cpp is there and holds no model yet."""
LOADED = "loaded"
CONTEXT = "context"
FILLED = "filled"
MEASURED = "measured"
DONE = "done"
COUNTED = "counted"
FAILED = "failed"


class Job(TypedDict):
    """The first line: the load, and what the process may use."""

    model_path: str
    arch: str
    params: dict[str, Any]
    """Fields of llama_model_params."""
    load_mode: str
    tensor_split: list[float] | tuple[float, ...] | None
    override_tensor: str | None
    n_cpu_moe: int
    n_expert_used: int | None
    memory_bytes: int | None
    memory_kind: Literal["data", "address_space"]
    backend_path: str | None
    parent_pid: int
    cpus: list[int]
    """Those that it is kept to; none: all."""


class Rule(TypedDict):
    """How often one test is timed; see `measure.workload.Repetitions`."""

    least: int
    most: int
    half_width: float | None
    budget_s: float | None
    neighbours: bool


class Workload(TypedDict):
    """What is done with a context; the worker reads these of the sweep's `measure`."""

    n_prompt: int
    n_gen: int
    depths: list[int | str]
    timing: bool
    repetitions: Rule
    seed: int


class Point(TypedDict):
    """One point: a context and what is done with it."""

    config: dict[str, Any]
    """RunConfig's knobs, `n_threads` settled."""
    params: dict[str, Any]
    """Fields of llama_context_params."""
    workload: Workload


class Reference(TypedDict):
    """The file of a reference's log-probabilities; `keep` where this setting is the reference."""

    path: str
    keep: bool


class TextAsked(TypedDict):
    """A text to score: its first `n_tokens`, in passes of `n_ctx` (None: one)."""

    content: str
    n_tokens: int
    n_ctx: int | None
    compare: Reference | None


class Fact(TypedDict):
    """A fact to hide at `depth` (0 to 1), and how it is asked for."""

    depth: float
    sentence: str
    question: str
    answer: str


class NeedleAsked(TypedDict):
    """Texts of `filler` sentences, each with its facts; `n_tokens` None fills the context."""

    filler: list[str]
    texts: list[list[Fact]]
    n_tokens: int | None


class Questions(TypedDict, total=False):
    """What is asked once memory and speed are known."""

    text: TextAsked
    needle: NeedleAsked


class _Timed(TypedDict):
    test: str
    n_tokens: int
    samples_ns: list[int]


class Timing(_Timed, total=False):
    """Samples of one test at one depth; `ended_ns` is when each ended, by the monotonic clock,
    `drafted` and `accepted` are tokens of speculative decoding."""

    n_depth: int
    n_parallel: int
    ended_ns: list[int]
    cpu_ns: list[int]
    disturbed: list[int]
    drafted: list[int]
    accepted: list[int]


class Divergence(TypedDict, total=False):
    """A text's divergence from the reference, or why there is none."""

    kl_nats: list[float]
    n_same_top: int
    kl_missing: str | None


class Quality(Divergence):
    """A text's score, and its divergence."""

    nll_nats: list[float]
    n_pass: int
    tokens_sha256: str


class Needle(TypedDict):
    """A fact that was asked for, and the answer; see `records.schema.Needle`."""

    depth: float
    n_before: int
    n_after: int
    expected: str
    answer: str
    found: bool


class Recall(TypedDict):
    """All facts that were asked for, or why none was."""

    needles: list[Needle]
    missing: str | None


class Reply(TypedDict, total=False):
    """What the events of a load and of one point say, together; a point that failed lacks what
    would have come after."""

    at_ns: int
    load_ns: int
    """Of `loaded`, as the next."""
    free_after_load_bytes: dict[str, int]
    context_ns: int
    """Of `context`, as the next."""
    free_after_context_bytes: dict[str, int]
    n_filled: int
    """Of `filled`, said as often as the context grows without a timing."""
    timings: list[Timing]
    """Of `measured`, as the next."""
    free_after_run_bytes: dict[str, int]
    quality: Quality | None
    """Of `done`, as the next two."""
    recall: Recall | None
    scored_ns: int | None


class Event(Reply, total=False):
    """One line of the worker's; `stage` and `message` are of `failed`."""

    event: str
    stage: str
    message: str
