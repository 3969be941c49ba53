"""Records made up for the store."""

from collections.abc import Callable
from typing import Any

import pytest

from oomph.records.schema import Record


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """A whole record; keywords replace fields."""

    def make(number: int = 0, **changes: Any) -> Record:
        fields: dict[str, Any] = {
            "record_id": f"r{number}",
            "point_id": f"p{number}",
            "sweep": "test",
            "label": f"n_ctx={number}",
            "started_at": "2026-01-02T03:04:05.678+00:00",
            "wall_ns": 5,
            "model": {
                "name": "tiny",
                "path": "tiny.gguf",
                "arch": "llama",
                "file_bytes": 9,
                "header_sha256": "ab",
            },
            "config": {"n_ctx": 256 + number, "type_k": "f16"},
            "outcome": {"label": "ok"},
            "environment": {
                "machine": "here",
                "os": "Linux",
                "python": "3.11",
                "cpu": "Some",
                "cpu_count": 2,
                "memory_bytes": 9,
                "backend": "cpu",
            },
            "buffers": {"kv_cache_mib": {"CPU": [1.0, 2.0]}, "compute_mib": {"CPU": [4.0, 5.0]}},
            "timings": [
                {"test": "pp8", "n_tokens": 8, "n_depth": 16, "samples_ns": [4_000, 2_000, 3_000]}
            ],
            "memory": [{"probe": "host", "quantity": "rss", "device": "host", "peak_bytes": 77}],
        }
        return Record(**fields | changes)

    return make
