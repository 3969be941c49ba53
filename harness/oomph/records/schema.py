"""A record: everything about one measured point, as one JSON line.

This is foreign text when it is read (another version or machine wrote it), so it is pydantic's,
with unknown keys kept. Field names end in their unit; what was not measured is None. Raw samples
are stored, and means, ratios and MiB are computed when shown. llama.cpp prints buffer sizes in MiB
with two decimals: these are kept as printed, under names that end in `_mib`.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1


Nanoseconds = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


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
        description="'cpu', 'cuda' or 'phantom': on which of the three the point was seen"
    )
    gpus: list[dict[str, Any]] = Field(
        default=[], description="the cards in CUDA's order, as NVML names them"
    )
    driver: str | None = Field(default=None, description="NVIDIA driver")
    llama_cpp_commit: str | None = Field(
        default=None, description="what ggml says it was built from"
    )
    packages: dict[str, str] = Field(
        default={}, description="versions of what takes part in measuring"
    )


class Buffers(_Part):
    """llama.cpp's own buffer lines by device, in MiB as printed, a list where it printed
    several."""

    model_mib: dict[str, list[float]] = Field(default={}, description="weights")
    kv_cache_mib: dict[str, list[float]] = Field(
        default={}, description="KV caches; sliding-window models have two"
    )
    recurrent_mib: dict[str, list[float]] = Field(
        default={}, description="states of recurrent layers"
    )
    compute_mib: dict[str, list[float]] = Field(
        default={},
        description="compute buffer; reserved again it is printed again, the last counts",
    )
    output_mib: dict[str, list[float]] = Field(
        default={}, description="logits and embeddings handed out"
    )
    compute_grown_mib: dict[str, list[float]] = Field(
        default={},
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
        default=[], description="indices of samples further than 3.5 scaled MADs from the median"
    )
    cpu_ns: list[int] = Field(
        default=[], description="processor time that the worker's threads got in each sample"
    )
    disturbed: list[int] | None = Field(
        default=None,
        description="indices of samples in which a thread was put aside for other work; None "
        "where that cannot be "
        "told: on cards, or with cores to spare",
    )
    energy_j: float | None = Field(
        default=None,
        description="joules of all cards over the samples, by NVML; None without, or for too "
        "short a time",
    )


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
    times_ns: list[int] = Field(default=[], description="of `values_bytes`, from the point's start")
    values_bytes: list[int] = Field(
        default=[], description="at most 240 values, the highest of each bucket"
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
        default=[], description="tokens given to each item, where `n_pass` does not tell"
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
        default=[],
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

    needles: list[Needle] = Field(default=[], description="every question, see Needle")
    missing: str | None = Field(default=None, description="why nothing was asked")


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
        default=[], description="the lines of the log that tell, or the proving record's id"
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
        default=[], description="last lines of llama.cpp's log, of a point that failed"
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
        default={}, description="the sweep's `measure`, its group and its load mode"
    )
    limits: dict[str, Any] = Field(default={}, description="the sweep's `limits`")
    environment: Environment
    outcome: Outcome
    reported: Reported = Reported()
    buffers: Buffers = Buffers()
    timings: list[Timing] = []
    memory: list[MemorySeries] = []
    quality: Quality | None = None
    recall: Recall | None = None
    load_ns: int | None = Field(
        default=None, description="llama_model_load_from_file, shared by a process's points"
    )
    conditions: dict[str, Any] = Field(
        default={},
        description="clocks, power, throttle reasons, other processes, CPUs busy with other work, "
        "threads; by card `unread`, why NVML does not tell the rest; `lost_devices` that stopped "
        "answering; what CUDA says is left of each card (`free_after_load_bytes`, "
        "`free_after_context_bytes`, `free_after_run_bytes`); `n_workers_beside` on other cards, "
        "`cpus` that the worker was kept to, `n_lost` machines before this one",
    )
