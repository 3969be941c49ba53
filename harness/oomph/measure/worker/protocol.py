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
ANSWERED = "answered"
"""An item of a task, said as often as one is answered: what ends the worker loses one at most."""
DONE = "done"
LAID_OUT = "laid_out"
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


class TaskAsked(TypedDict):
    """An item of a task, before it is laid out to its length.

    The user's words are `head`, entries of the pool `pool` in the order that `order` seeds (of
    `n_pool` of them, begun again as often as it takes, those of `without` left out) with each
    sentence of `told` at its depth (ascending, 0 to 1), and `tail`, the question.
    """

    task: str
    n_tokens: int
    """Of prompt and answer together."""
    n_answer: int
    depth: float | None
    head: str
    told: list[tuple[float, str]]
    pool: str
    n_pool: int
    without: list[str]
    order: str
    tail: str
    expected: list[str]


class TasksAsked(TypedDict):
    """Items in the order in which they are asked, fillers by name, and how long all may take."""

    pools: dict[str, list[str]]
    items: list[TaskAsked]
    seconds: float


class LaidOut(TypedDict):
    """An item's prompt: all its `tokens`, those of the user's `words`, and the item's name."""

    tokens: list[int]
    words: list[int]
    item: str


class TaskText(TypedDict):
    """An item's prompt as texts: the user's `words`, and the whole `prompt`, the chat template's
    marks around them."""

    item: str
    n_prompt: int
    words: str
    prompt: str


class TaskAnswer(TypedDict):
    """An item that was asked, and the answer; see `records.schema.TaskItem`."""

    task: str
    item: str
    n_tokens: int
    n_prompt: int
    depth: float | None
    expected: list[str]
    answer: str


class Questions(TypedDict, total=False):
    """What is asked once memory and speed are known."""

    text: TextAsked
    needle: NeedleAsked
    tasks: TasksAsked


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
    task_items: list[TaskAnswer]
    """Of `answered`, gathered by the parent."""
    tasks_missing: str | None
    """Of `done`."""


class Event(Reply, total=False):
    """One line of the worker's; `stage` and `message` are of `failed`, `task_item` of
    `answered`."""

    event: str
    task_item: TaskAnswer
    stage: str
    message: str
