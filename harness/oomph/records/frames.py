"""Records as a table for pandas, CSV and Parquet: one row a timing or failed point.

Apart from the store because it loads pandas, and because a table loses what a record keeps: raw
samples, series, logs.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from oomph.errors import StoreError
from oomph.records.schema import Record, Timing

if TYPE_CHECKING:
    import pandas


def to_frame(records: Iterable[Record]) -> "pandas.DataFrame":
    """Columns: identity, `config.*`, `reported.*`, peaks in bytes, then `test n_depth n_parallel
    n_samples median_ns tokens_per_s`. What was not measured is missing (NaN or None)."""
    import pandas as pd

    return pd.DataFrame([row for record in records for row in _rows(record)])


def write_frame(frame: "pandas.DataFrame", path: Path) -> None:
    """Write the table as its suffix says: .csv or .parquet. StoreError for another suffix or a
    missing pyarrow."""
    try:
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        elif path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        else:
            raise StoreError(
                f"{path} has no suffix that says its format; end it in .csv or .parquet"
            )
    except ImportError:
        raise StoreError(
            "Parquet needs pyarrow; `pip install 'oomph[parquet]'`, or write .csv"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}); choose another place"
        ) from None


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    point = _point_columns(record)
    for timing in record.timings:
        yield point | _timing_columns(timing)
    if not record.timings:
        yield point


def _point_columns(record: Record) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "record_id": record.record_id,
        "point_id": record.point_id,
        "sweep": record.sweep,
        "label": record.label,
        "machine": record.environment.machine,
        "backend": record.environment.backend,
        "cards": ", ".join(str(card.get("name")) for card in record.environment.gpus) or None,
        "model": record.model.name,
        "outcome": record.outcome.label,
        "stage": record.outcome.stage,
        "load_ns": record.load_ns,
    }
    columns |= {f"config.{key}": value for key, value in record.config.items()}
    columns |= {f"reported.{key}": value for key, value in record.reported.model_dump().items()}
    columns |= {
        f"peak_{series.quantity}_bytes.{series.device}": series.peak_bytes
        for series in record.memory
    }
    for kind, devices in record.buffers.model_dump().items():
        total = max if kind.startswith("compute") else sum  # reserved again, it is printed again
        columns |= {f"{kind}.{device}": total(sizes) for device, sizes in devices.items()}
    return columns


def _timing_columns(timing: Timing) -> dict[str, Any]:
    middle = median(timing.samples_ns) if timing.samples_ns else None
    return {
        "test": timing.test,
        "n_depth": timing.n_depth,
        "n_parallel": timing.n_parallel,
        "n_samples": len(timing.samples_ns),
        "median_ns": middle,
        "tokens_per_s": timing.n_tokens * timing.n_parallel * 1e9 / middle if middle else None,
    }
