"""A record: everything about one measured point, as one JSON line.

This is foreign text when it is read (another version or machine wrote it), so it is pydantic's, with unknown
keys kept. Field names end in their unit; what was not measured is None. Raw samples are stored, and means,
ratios and MiB are computed when shown. llama.cpp prints buffer sizes in MiB with two decimals: these are kept
as printed, under names that end in `_mib`.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class ModelIdentity(_Part):
    """Which model file: `sha256` is of the whole file, `header_sha256` of its header (cheap, always there)."""

    name: str
    path: str
    arch: str
    file_bytes: int
    header_sha256: str
    sha256: str | None = None


class Environment(_Part):
    """The machine and the software that the point ran on."""

    machine: str
    os: str
    python: str
    cpu: str
    cpu_count: int
    memory_bytes: int
    governor: str | None = None
    backend: str = Field(description="'cpu', 'cuda' or 'phantom': on which of the three the point was seen")
    gpus: list[dict[str, Any]] = []
    driver: str | None = None
    llama_cpp_commit: str | None = None
    packages: dict[str, str] = {}


class Buffers(_Part):
    """llama.cpp's own buffer lines by device, in MiB as printed, a list where it printed several."""

    model_mib: dict[str, list[float]] = {}
    kv_cache_mib: dict[str, list[float]] = {}
    recurrent_mib: dict[str, list[float]] = {}
    compute_mib: dict[str, list[float]] = {}
    output_mib: dict[str, list[float]] = {}
    compute_grown_mib: dict[str, list[float]] = Field(
        default={}, description="what a compute buffer had grown to in use, where llama.cpp said so at the end"
    )


class Reported(_Part):
    """What llama.cpp reported back; an override that it did not take makes the record refused."""

    n_ctx: int | None = None
    n_ctx_seq: int | None = None
    n_batch: int | None = None
    n_ubatch: int | None = None
    n_expert_used: int | None = None
    type_k: str | None = None
    type_v: str | None = None
    flash_attn: str | None = None
    graph_nodes: int | None = None
    graph_splits: int | None = None
    offloaded_layers: str | None = None


class Timing(_Part):
    """Raw samples of one test: `test` is llama-bench's label without depth (`pp512`, `tg32`)."""

    test: str
    n_tokens: int
    n_depth: int = 0
    n_parallel: int = 1
    samples_ns: list[int]
    outliers: list[int] = Field(
        default=[], description="indices of samples further than 3.5 scaled MADs from the median"
    )


class MemorySeries(_Part):
    """What a probe saw of one quantity: exact peak, first and last value, and the downsampled series."""

    probe: str
    quantity: str
    device: str
    peak_bytes: int
    baseline_bytes: int | None = None
    last_bytes: int | None = None
    n_samples: int = 0
    interval_ns: int | None = None
    times_ns: list[int] = []
    values_bytes: list[int] = []
    method: str | None = Field(
        default=None, description="how the process's share was found: 'per_process' or 'device_minus_idle'"
    )


class Quality(_Part):
    """Negative log-likelihood of a text, in nats, summed per chunk; perplexity is exp of the mean per token."""

    text: str
    n_tokens: int
    nll_nats: list[float]
    positions: list[int] = []
    n_pass: int | None = Field(
        default=None, description="tokens of one pass; item i of a pass is given i + 1 tokens, so each has n_pass - 1"
    )


class Outcome(_Part):
    """How the point ended; `label` is one of `oomph.measure.outcome.LABELS` or `skipped`, `refused`."""

    label: str
    stage: str | None = None
    message: str = ""
    evidence: list[str] = []
    exit_code: int | None = None
    asked_mib: float | None = Field(default=None, description="size of the allocation that was refused")
    short_mib: float | None = Field(default=None, description="by how much it exceeded what the card had left")
    log_tail: list[str] = []


class Record(_Part):
    """One measured point. `config` holds RunConfig's knobs, `label` the point's name within its sweep."""

    schema_version: int = SCHEMA_VERSION
    record_id: str
    point_id: str
    sweep: str
    label: str
    started_at: str
    wall_ns: int
    model: ModelIdentity
    config: dict[str, Any]
    workload: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    environment: Environment
    outcome: Outcome
    reported: Reported = Reported()
    buffers: Buffers = Buffers()
    timings: list[Timing] = []
    memory: list[MemorySeries] = []
    quality: Quality | None = None
    load_ns: int | None = None
    conditions: dict[str, Any] = Field(
        default={}, description="clocks, power, throttle reasons, other processes, host load"
    )
