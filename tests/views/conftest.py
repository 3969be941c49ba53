"""A small sweep, made up: 3 contexts x 3 numbers of experts, and two points under a memory limit
that fail."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from oomph.calibrate.comparison import Comparison
from oomph.calibrate.health import judge
from oomph.calibrate.left_out import LeftOut
from oomph.calibrate.result import FitResult, FittedCoefficient
from oomph.config import RunConfig
from oomph.estimate.coefficients import Coefficients
from oomph.estimate.host import HostMemory, host_fit
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, Prediction
from oomph.records.schema import Record
from oomph.units import MIB

N_CTX = (1024, 2048, 4096)
N_EXPERT_USED = (4, 6, 8)
NLL = {4: 4.6, 6: 3.9, 8: 3.1}


def _record(*, n_ctx: int = 1024, n_expert_used: int | None = 8, **changes: Any) -> Record:
    """A record that went well on a machine without a card; `changes` replace whole fields."""
    kv_mib, compute_mib = n_ctx / 1024 * 22.5, 100 + n_ctx / 128
    fields: dict[str, Any] = {
        "record_id": f"r{n_ctx}-{n_expert_used}",
        "point_id": f"p{n_ctx}-{n_expert_used}",
        "sweep": "demo",
        "label": f"n_ctx={n_ctx} n_expert_used={n_expert_used}",
        "started_at": "2026-01-02T03:04:05Z",
        "wall_ns": 24_000_000_000,
        "model": {
            "name": "Tiny-8x192",
            "path": "/home/me/models/tiny.gguf",
            "arch": "llama",
            "file_bytes": 98 * MIB,
            "header_sha256": "ab" * 32,
        },
        "config": {"n_ctx": n_ctx, "n_expert_used": n_expert_used, "n_devices": 0},
        "environment": {
            "machine": "bench-1",
            "os": "Linux 6.1",
            "python": "3.11.9",
            "cpu": "Some CPU",
            "cpu_count": 2,
            "memory_bytes": 16 * 1024 * MIB,
            "backend": "cpu",
            "llama_cpp_commit": "abc1234",
            "packages": {"numpy": "2.0", "oomph": "0.1.0"},
        },
        "outcome": {"label": "ok"},
        "reported": {"n_ctx": n_ctx, "n_expert_used": n_expert_used},
        "buffers": {
            "model_mib": {"CPU_Mapped": [94.0]},
            "kv_cache_mib": {"CPU": [kv_mib]},
            "compute_mib": {"CPU": [compute_mib, compute_mib]},
            "output_mib": {"CPU": [0.19]},
        },
        "timings": [
            {
                "test": "pp512",
                "n_tokens": 512,
                "n_depth": depth,
                "samples_ns": [int(ns), int(ns * 1.1), int(ns * 1.2)],
            }
            for depth in (0, n_ctx // 2)
            for ns in [2e9 * (1 + depth / 8192) * (n_expert_used or 8) / 8]
        ]
        + [
            {
                "test": "tg32",
                "n_tokens": 32,
                "n_depth": depth,
                "samples_ns": [int(ns), int(ns * 1.05)],
            }
            for depth in (0, n_ctx // 2)
            for ns in [5e8 * (1 + depth / 8192) * (n_expert_used or 8) / 8]
        ],
        "memory": [
            {"probe": "host", "quantity": "rss", "device": "host", "peak_bytes": 400 * MIB},
            {"probe": "host", "quantity": "anon", "device": "host", "peak_bytes": 300 * MIB},
        ],
        "quality": {
            "text": "ranking",
            "n_tokens": 400,
            "nll_nats": [
                100 * (NLL.get(n_expert_used or 8, 3.0) + shift) for shift in (-0.1, 0.1, 0, 0)
            ],
        },
    }
    return Record.model_validate(fields | changes)


def _failure(*, n_ctx: int, limit_mib: int = 200) -> Record:
    """The same under a limit that it exceeds."""
    return _record(
        n_ctx=n_ctx,
        record_id=f"f{n_ctx}",
        limits={"memory_bytes": limit_mib * MIB, "memory_kind": "data"},
        outcome={
            "label": "oom_kv",
            "stage": "kv_cache",
            "message": "lower n_ctx",
            "exit_code": 1,
            "evidence": ["llama_kv_cache: failed to allocate buffer for kv cache"],
        },
        timings=[],
        buffers={},
        quality=None,
    )


NOTHING = HostMemory(
    process_bytes=0,
    weights_bytes=0,
    mapped_bytes=0,
    cache_bytes=0,
    buffer_bytes=0,
    checkpoints_bytes=0,
    prompt_cache_bytes=0,
)


def _prediction(record: Record) -> Prediction:
    """Close to what `_record` prints."""
    n_ctx = record.config["n_ctx"]
    memory = DeviceMemory(
        weights_bytes=94 * MIB,
        kv_cache_bytes=round(n_ctx / 1024 * 22.5 * MIB),
        compute_bytes=round((98 + n_ctx / 128) * MIB),
    )
    return Prediction(
        model=record.model.name,
        config=RunConfig(n_ctx=n_ctx, n_devices=0),
        memory=MemoryEstimate(devices={"CPU": memory}),
        host=host_fit(NOTHING, None),
    )


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Makes a record that went well; keywords replace its fields."""
    return _record


@pytest.fixture
def make_failure() -> Callable[..., Record]:
    """Makes a record of a point that did not get its KV cache."""
    return _failure


@pytest.fixture
def records() -> list[Record]:
    """Nine points that went well and two that failed."""
    grid = [_record(n_ctx=n_ctx, n_expert_used=e) for e in N_EXPERT_USED for n_ctx in N_CTX]
    return [*grid, _failure(n_ctx=2048), _failure(n_ctx=4096)]


@pytest.fixture
def predictions(records: list[Record]) -> dict[str, Prediction]:
    """One for each record, failed ones included."""
    return {record.record_id: _prediction(record) for record in records}


@pytest.fixture
def comparisons(records: list[Record]) -> list[Comparison]:
    """Every rate of the points that went well, predicted 10 % too fast, in a band that only prefill
    stays in."""
    return [
        Comparison(
            record_id=record.record_id,
            label=record.label,
            device="CPU",
            n_depth=timing.n_depth,
            quantity="prefill_tokens_per_s"
            if timing.test.startswith("pp")
            else "decode_tokens_per_s",
            measured=(measured := timing.n_tokens / timing.samples_ns[0] * 1e9),
            predicted=1.1 * measured,
            lower=0.9 * measured,
            upper=(1.3 if timing.test.startswith("pp") else 0.95) * measured,
        )
        for record in records
        for timing in record.timings
    ]


@pytest.fixture
def calibration() -> FitResult:
    """A fit that told one coefficient and left another at its default."""
    told = FittedCoefficient(
        name="host.flops_per_s",
        value=1.5e10,
        default=2e11,
        relative_error=0.14,
        moved=0.98,
        at_bound=False,
        meaning="what prefill computes",
    )
    untold = FittedCoefficient(
        name="host.token_s",
        value=1e-4,
        default=1e-4,
        relative_error=1.0,
        moved=0.02,
        at_bound=False,
        meaning="time of a token",
    )
    left_out = [
        LeftOut(quantity="decode", group="decode dense", part=part, error=0.05 * part, score=part)
        for part in range(3)
    ]
    values = {told.name: told.value, untold.name: untold.value}
    return FitResult(
        estimator=SimpleNamespace(),
        coefficients=Coefficients(values=values),
        fitted=(told, untold),
        known_together=(),
        n_records=9,
        n_measurements=36,
        noise_sd={"prefill": 0.03, "decode": 0.1},
        memory_error_bytes=None,
        covered={},
        health=judge(
            in_sample={"decode": [0.01, 0.02, 0.03]},
            left_out=left_out,
            trends=(),
            at_bound=(),
            n_records=9,
            n_disturbed=1,
            notes=("2 disturbed rates of 1 record took no part",),
        ),
        advice=("measure decode at two depths",),
    )
