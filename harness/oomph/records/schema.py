"""A record: everything about one measured point, as one JSON line.

This is foreign text when it is read (another version or machine wrote it), so it is pydantic's,
with unknown keys kept. Field names end in their unit; what was not measured is None. Raw samples
are stored, and means, ratios and MiB are computed when shown. llama.cpp prints buffer sizes in MiB
with two decimals: these are kept as printed, under names that end in `_mib`.
"""

from collections.abc import Container
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from oomph.records.backends import ESTIMATED_BACKENDS

SCHEMA_VERSION: Final = 1
LABELS: Final = (
    "ok",
    "oom_weights",
    "oom_kv",
    "oom_compute",
    "oom_runtime",
    "host_oom",
    "device_lost",
    "driver_missing",
    "bad_model",
    "bad_config",
    "timeout",
    "killed",
    "crash",
    "not_an_error",
    "unknown",
)
"""How a run of llama.cpp ends."""

Nanoseconds = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class _SaidPart(_Part):
    """A part of which only that is written which was said: another machine, another probe and an
    older version each say less, and a line that is read is written back as it was."""

    @model_serializer
    def _said(self) -> dict[str, Any]:
        said = self.model_fields_set
        known = {name: getattr(self, name) for name in type(self).model_fields if name in said}
        return known | (self.model_extra or {})


class ModelIdentity(_Part):
    """Which model file."""

    name: str = Field(description="`general.name`, or the file's name")
    path: str = Field(description="the model as the sweep or the command line named it")
    arch: str = Field(description="`general.architecture`")
    file_bytes: int = Field(
        description="size of the file, of all parts if it is split; 0 where an import does not say"
    )
    header_sha256: str = Field(
        description="hash of the header up to the tensor data: cheap, always there"
    )
    sha256: str | None = Field(default=None, description="hash of the whole file, up to 2 GiB")
    tensor_bytes: int | None = Field(
        default=None, description="of all tensors, where an imported row says it"
    )
    n_params: int | None = Field(
        default=None, description="parameters, where an imported row says it"
    )


class Environment(_Part):
    """The machine and the software that the point ran on."""

    machine: str = Field(description="`$OOMPH_MACHINE` or the host's name")
    os: str = Field(description="kernel and release")
    python: str = Field(description="version")
    cpu: str = Field(description="model name")
    cpu_count: int | None = Field(
        description="physical cores that the process may use; None where imported rows do not say"
    )
    memory_bytes: int | None = Field(
        description="the host's memory; None where imported rows do not say"
    )
    governor: str | None = Field(
        default=None, description="CPU frequency governor, where the kernel tells it"
    )
    backend: str = Field(
        description="'cpu', 'cuda' or 'phantom': on which of the three the point was seen; of "
        "imported records any of ggml's ('rocm', 'vulkan', 'rpc' …), or 'unknown'"
    )
    gpus: list[dict[str, Any]] = Field(
        default_factory=list, description="the cards in CUDA's order, as NVML names them"
    )
    driver: str | None = Field(default=None, description="NVIDIA driver")
    llama_cpp_commit: str | None = Field(
        default=None, description="what ggml says it was built from"
    )
    packages: dict[str, str] = Field(
        default_factory=dict, description="versions of what takes part in measuring"
    )

    @property
    def has_cards(self) -> bool:
        """Whether the memory that counts is the cards': not on a processor, nor where neither a
        backend nor a card is known."""
        return bool(self.gpus) or self.backend not in ("cpu", "unknown")


class Buffers(_Part):
    """llama.cpp's own buffer lines by device, in MiB as printed, a list where it printed
    several."""

    model_mib: dict[str, list[float]] = Field(default_factory=dict, description="weights")
    kv_cache_mib: dict[str, list[float]] = Field(
        default_factory=dict, description="KV caches; sliding-window models have two"
    )
    recurrent_mib: dict[str, list[float]] = Field(
        default_factory=dict, description="states of recurrent layers"
    )
    compute_mib: dict[str, list[float]] = Field(
        default_factory=dict,
        description="compute buffer; reserved again it is printed again, the last counts",
    )
    output_mib: dict[str, list[float]] = Field(
        default_factory=dict, description="logits and embeddings handed out"
    )
    compute_grown_mib: dict[str, list[float]] = Field(
        default_factory=dict,
        description="what a compute buffer had grown to in use, where llama.cpp said so at the end",
    )


class Reported(_Part):
    """What llama.cpp reported back; an override that it did not take makes the record refused."""

    n_ctx: int | None = Field(default=None, description="cells, after rounding up")
    n_ctx_seq: int | None = Field(default=None, description="cells of one sequence")
    n_batch: int | None = Field(default=None, description="tokens of one llama_decode")
    n_ubatch: int | None = Field(default=None, description="tokens computed at once")
    n_expert_used: int | None = Field(default=None, description="0 for a dense model")
    type_k: str | None = Field(default=None, description="type of the K cache")
    type_v: str | None = Field(default=None, description="type of the V cache")
    flash_attn: str | None = Field(
        default=None, description="enabled or disabled, once `auto` is decided"
    )
    rope_freq_scale: float | None = Field(
        default=None, description="1 / `rope_scale`, or the model's own"
    )
    graph_nodes: int | None = Field(default=None, description="nodes of the prefill graph")
    graph_splits: int | None = Field(default=None, description="pieces that run on one device each")
    offloaded_layers: str | None = Field(
        default=None, description="`49/49`: layers on cards, the output among them"
    )


_OF_DRAFTS: Final = ("drafted", "accepted")


class Timing(_Part):
    """Raw samples of one test at one depth."""

    test: str = Field(
        description="llama-bench's label without depth (`pp512`, `tg32`); `cold_…` is the first "
        "after the load"
    )
    n_tokens: int = Field(ge=1, description="tokens of one sample, of one sequence")
    n_depth: int = Field(default=0, ge=0, description="cells filled before, of one sequence")
    n_parallel: int = Field(
        default=1, ge=1, description="sequences in step: a sample is n_parallel × n_tokens tokens"
    )
    samples_ns: list[Nanoseconds] = Field(
        min_length=1, description="nanoseconds of each sample, in the order taken"
    )
    outliers: list[int] = Field(
        default_factory=list,
        description="indices of samples further than 3.5 scaled MADs from the median",
    )
    cpu_ns: list[int] = Field(
        default_factory=list,
        description="processor time that the worker's threads got in each sample",
    )
    disturbed: list[int] | None = Field(
        default=None,
        description="indices of samples in which a thread was put aside for other work; None "
        "where that cannot be "
        "told: on cards, or with cores to spare",
    )
    drafted: list[int] = Field(
        default_factory=list,
        description="tokens that were drafted in each sample, of speculative decoding",
    )
    accepted: list[int] = Field(
        default_factory=list, description="of those, tokens that were accepted"
    )
    energy_j: float | None = Field(
        default=None,
        description="joules of all cards over the samples, by NVML; None without, or for too "
        "short a time",
    )

    @model_serializer(mode="wrap")
    def _drafts_where_said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Nothing of drafts where there were none, as in lines of before."""
        said: dict[str, Any] = write(self)
        return said if self.drafted else {k: v for k, v in said.items() if k not in _OF_DRAFTS}


class MemorySeries(_Part):
    """What a probe saw of one quantity: exact peak, first and last value, and the downsampled
    series."""

    probe: str = Field(description="`host` (/proc) or `nvml`")
    quantity: str = Field(
        description="`rss` with touched weights, `anon` without, `pss` with a share of what "
        "others map, or `vram`"
    )
    device: str = Field(description="`host`, or a card by llama.cpp's name")
    peak_bytes: int = Field(
        description="highest value; exact where the kernel keeps it (`rss`), sampled elsewhere"
    )
    baseline_bytes: int | None = Field(
        default=None, description="before the model was loaded, llama.cpp already there"
    )
    last_bytes: int | None = Field(default=None, description="when the measurement ended")
    n_samples: int = Field(default=0, description="taken, before downsampling")
    interval_ns: int | None = Field(default=None, description="between two samples")
    times_ns: list[int] = Field(
        default_factory=list, description="of `values_bytes`, from the point's start"
    )
    values_bytes: list[int] = Field(
        default_factory=list, description="at most 240 values, the highest of each bucket"
    )
    method: str | None = Field(
        default=None,
        description="how the process's share was found: 'per_process' or 'device_minus_idle'",
    )


class Quality(_Part):
    """Negative log-likelihood of a text, in nats; perplexity is exp of the sum over `n_tokens`."""

    text: str = Field(
        description="the file that the sweep named, or `default`: the text that comes with oomph"
    )
    n_tokens: int = Field(description="tokens that were predicted")
    nll_nats: list[float] = Field(description="of each predicted token, pass after pass")
    positions: list[int] = Field(
        default_factory=list, description="tokens given to each item, where `n_pass` does not tell"
    )
    n_pass: int | None = Field(
        default=None,
        description="tokens of one pass; item i of a pass is given i + 1 tokens, so each has "
        "n_pass - 1",
    )
    tokens_sha256: str | None = Field(
        default=None, description="hash of the tokens: only equal texts are compared"
    )
    kl_nats: list[float] = Field(
        default_factory=list,
        description="Kullback-Leibler divergence from the sweep's reference, of each predicted "
        "token",
    )
    n_same_top: int | None = Field(
        default=None, description="tokens where the reference has the same likeliest word"
    )
    kl_missing: str | None = Field(
        default=None,
        description="why there is no divergence, or why the reference could not be kept for others",
    )


class Needle(_Part):
    """A fact in a long text that was asked for."""

    depth: float = Field(description="where it stood: 0 the text's beginning, 1 its end")
    n_before: int = Field(description="tokens up to its end")
    n_after: int = Field(description="tokens from its end to the answer")
    expected: str = Field(description="what the answer must hold")
    answer: str = Field(description="what the model wrote, greedily, at most 32 tokens")
    found: bool = Field(description="whether `expected` stands in it as a word")


class Recall(_Part):
    """Facts hidden in a long text and asked for through the model's chat template."""

    needles: list[Needle] = Field(default_factory=list, description="every question, see Needle")
    missing: str | None = Field(default=None, description="why nothing was asked")


TASK_FAMILIES: Final = (
    "niah_single",
    "niah_multikey",
    "niah_multivalue",
    "variable_tracking",
    "common_words",
    "two_hop",
)
"""The tasks over a long context that oomph generates; another grader may have others."""


class TaskItem(_SaidPart):
    """One item of a task over a long context: what was asked for and what the model wrote."""

    task: str = Field(description="the task's name, as `niah_single`")
    item: str = Field(
        description="equal where two settings were asked the same: a hash of the prompt's tokens "
        "and of what is expected, or the name that another grader gives"
    )
    n_tokens: int | None = Field(
        default=None, description="the length asked for, in tokens, prompt and answer together"
    )
    n_prompt: int | None = Field(default=None, description="tokens of the prompt as it was read")
    depth: float | None = Field(
        default=None, description="where what counts stood, of tasks that put it in one place"
    )
    expected: list[str] = Field(default_factory=list, description="what the answer must hold")
    answer: str | None = Field(
        default=None, description="what the model wrote, greedily; None where a grader keeps it"
    )
    score: float = Field(
        ge=0, le=1, description="share of `expected` that the answer holds; 1 is right"
    )


class Tasks(_SaidPart):
    """Items of tasks over a long context, each asked once in this setting."""

    items: list[TaskItem] = Field(default_factory=list, description="every item, see TaskItem")
    graded_by: str = Field(
        default="rule", description="`rule`: by oomph; else the grader's name, as it gave it"
    )
    missing: str | None = Field(default=None, description="why nothing, or not all, was asked")


class OtherProcess(_SaidPart):
    """A process that is not the worker's, on a card that it measures."""

    pid: int | None = Field(default=None, description="its number")
    name: str | None = Field(
        default=None, description="its program; null where it was out of sight"
    )
    vram_bytes: int | None = Field(default=None, description="what it held, where NVML tells")


Extremes = list[int | float]
"""The lowest and the highest of a quantity."""


class CardConditions(_SaidPart):
    """What one card felt in the point's time, as NVML tells it; pairs are the lowest and the
    highest."""

    idle_bytes: int | None = Field(default=None, description="taken before the worker started")
    most_used_bytes: int | None = Field(
        default=None, description="the most that the whole card had taken, by anybody"
    )
    vram_method: str | None = Field(
        default=None, description="how the worker's share was found, as in MemorySeries"
    )
    sm_mhz: Extremes | None = Field(default=None, description="clock of the multiprocessors")
    memory_mhz: Extremes | None = Field(default=None, description="clock of the memory")
    temperature_c: Extremes | None = Field(default=None, description="degrees Celsius")
    power_w: Extremes | None = Field(default=None, description="watts")
    power_limit_w: Extremes | None = Field(default=None, description="watts that it may take")
    utilisation_percent: Extremes | None = Field(
        default=None, description="share of time in which a kernel ran"
    )
    energy_j: float | None = Field(default=None, description="joules over the point's time")
    energy_method: str | None = Field(
        default=None, description="`counter`, or `integrated_power` without one"
    )
    throttle: list[str] | None = Field(
        default=None, description="why it held its clocks back, as NVML names it"
    )
    other_processes: list[OtherProcess] | None = Field(
        default=None, description="who else was on it, see OtherProcess"
    )
    unread: dict[str, str] = Field(
        default_factory=dict, description="by quantity, why NVML tells it not"
    )


class Conditions(_SaidPart):
    """What surrounded the point: who else was busy, what the cards felt, where its time went."""

    load_average_1m: float | None = Field(
        default=None, description="the machine's, in records before `other_cpus`"
    )
    worker_cpus: float | None = Field(
        default=None, description="CPUs that the worker kept busy on average"
    )
    other_cpus: float | None = Field(
        default=None, description="CPUs that all else kept busy on average; 0 is a quiet machine"
    )
    cards: dict[str, CardConditions] = Field(
        default_factory=dict, description="by llama.cpp's name of the device, see CardConditions"
    )
    lost_devices: list[str] = Field(
        default_factory=list, description="cards that had stopped answering"
    )
    slow_probes: dict[str, float] = Field(
        default_factory=dict,
        description="by probe, seconds that an answer took at most, where that was long",
    )
    context_index: int | None = Field(
        default=None, description="the point's place among those of its load, from 0"
    )
    n_threads: int | None = Field(default=None, description="that computed, where config has none")
    n_workers_beside: int | None = Field(
        default=None, description="other workers that ran on this machine's other cards meanwhile"
    )
    cpus: list[int] = Field(
        default_factory=list, description="that the worker was kept to; empty: all of the machine"
    )
    n_lost: int | None = Field(
        default=None, description="machines of a cluster that were lost with the point before"
    )
    context_ns: int | None = Field(default=None, description="llama_init_from_model")
    scored_ns: int | None = Field(
        default=None, description="scoring the text, asking for facts and tasks"
    )
    n_filled: int | None = Field(
        default=None, description="tokens that the context held when the point ended"
    )
    free_after_load_bytes: dict[str, int] = Field(
        default_factory=dict,
        description="by card, what CUDA says is left of it with the weights there",
    )
    free_after_context_bytes: dict[str, int] = Field(
        default_factory=dict, description="the same with the context there"
    )
    free_after_run_bytes: dict[str, int] = Field(
        default_factory=dict, description="the same once everything has run"
    )
    throttle_reasons: list[str] | None = Field(
        default=None, description="of all cards together; null where none tells"
    )
    other_processes: list[OtherProcess] | None = Field(
        default=None, description="on all cards together; null where none tells"
    )
    anchor_of: str | None = Field(
        default=None, description="the first record of the point that this one repeats"
    )
    drift: float | None = Field(
        default=None,
        description="change in time of the test that changed most since then, as a fraction",
    )
    dry_run_mib: dict[str, int | float] = Field(
        default_factory=dict,
        description="by card, what llama.cpp foretold when it fitted its parameters",
    )
    beside: dict[str, Buffers] = Field(
        default_factory=dict,
        description="buffers of what rode along: the `mtp` head, the `draft` model, and of an "
        "imported log the `projector` and `lora` adapters",
    )
    unread: dict[str, str] = Field(
        default_factory=dict,
        description="settings of an imported row that oomph has no knob for, as they were written",
    )


class Outcome(_Part):
    """How the point ended."""

    label: str = Field(
        description="`ok`, a label of `oomph classify`, `refused` (an override was not taken), "
        "`skipped`, or `lost` with its machine (a cluster's); `killed`, `crash`, `timeout`, "
        "`device_lost` and `driver_missing` say nothing of the configuration: such a point is "
        "tried three times at most, once a start"
    )
    stage: str | None = Field(default=None, description="what was being allocated or done")
    message: str = Field(default="", description="what happened and what to do about it")
    evidence: list[str] = Field(
        default_factory=list,
        description="the lines of the log that tell, or the proving record's id",
    )
    exit_code: int | None = Field(
        default=None, description="of the worker if it ended, -n for signal n"
    )
    asked_mib: float | None = Field(
        default=None, description="size of the allocation that was refused"
    )
    short_mib: float | None = Field(
        default=None, description="by how much it exceeded what the card had left"
    )
    log_tail: list[str] = Field(
        default_factory=list, description="last lines of llama.cpp's log, of a point that failed"
    )


class Record(_Part):
    """One measured point."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="of this format")
    record_id: str = Field(
        description="of this measurement: the point's id and eight random digits"
    )
    point_id: str = Field(
        description="of the point: a hash of model header, config, workload and limits"
    )
    sweep: str = Field(description="name of the sweep")
    label: str = Field(description="the point within its sweep: the knobs that vary")
    started_at: str = Field(description="ISO 8601, UTC")
    wall_ns: int = Field(
        description="from start to end; the first point of a process includes the load"
    )
    origin: str | None = Field(
        default=None, description="the tool that wrote an imported row; None: measured by oomph"
    )
    model: ModelIdentity
    config: dict[str, Any] = Field(description="RunConfig's knobs as asked for")
    workload: dict[str, Any] = Field(
        default_factory=dict, description="the sweep's `measure`, its group and its load mode"
    )
    limits: dict[str, Any] = Field(default_factory=dict, description="the sweep's `limits`")
    environment: Environment
    outcome: Outcome
    reported: Reported = Reported()
    buffers: Buffers = Buffers()
    timings: list[Timing] = Field(default_factory=list)
    memory: list[MemorySeries] = Field(default_factory=list)
    quality: Quality | None = None
    recall: Recall | None = None
    tasks: Tasks | None = None
    load_ns: int | None = Field(
        default=None, description="llama_model_load_from_file, shared by a process's points"
    )
    conditions: Conditions = Conditions()

    @model_serializer(mode="wrap")
    def _tasks_where_asked(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Nothing of tasks where there were none, as in lines of before."""
        said: dict[str, Any] = write(self)
        if said.get("tasks", said) is None:
            del said["tasks"]
        return said

    def buffer_mib(self, kind: str, contexts: Container[str] | None = None) -> dict[str, float]:
        """MiB by device of one kind of buffer (a field of `Buffers`), of the model's own context
        and of those beside it: of all, or of `contexts`.

        Lines of one device add up, but for the compute buffer, which a context prints again each
        time it is reserved: the largest counts.
        """
        beside = (each for name, each in self.conditions.beside.items() if _counts(name, contexts))
        found: dict[str, float] = {}
        for buffers in (self.buffers, *beside):
            devices: dict[str, list[float]] = getattr(buffers, kind)
            for device, sizes in devices.items():
                if sizes:
                    together = max(sizes) if kind.startswith("compute") else sum(sizes)
                    found[device] = found.get(device, 0.0) + together
        return found

    @property
    def is_served(self) -> bool:
        """Whether it ran through llama-server, not the library."""
        return self.workload.get("through") == "llama-server"

    @property
    def is_calibrating(self) -> bool:
        """Whether the record may teach an estimate, or speak for what one is asked about."""
        return self.why_not_calibrating is None

    @property
    def why_not_calibrating(self) -> str | None:
        """Why nothing may be learned from the record: what ran it is nothing that oomph estimates,
        or was set to what it does not know. None where it is."""
        if self.environment.backend not in ESTIMATED_BACKENDS:
            return f"its backend is {self.environment.backend}"
        if self.origin is None and self.config.get("spec_type") and not self.is_served:
            return "it was to draft, which its program does not"
        if unread := self.conditions.unread:
            settings = ", ".join(f"{name} {value}"[:60] for name, value in unread.items())
            return f"oomph has no knob for {settings}"
        return None


def _counts(name: str, contexts: Container[str] | None) -> bool:
    return contexts is None or name in contexts
