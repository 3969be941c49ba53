"""Records and predictions as tables for pandas, CSV and Parquet.

Apart from the store because it loads pandas, and because a table loses what a record keeps: raw
samples, series, logs.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Protocol

from oomph.errors import StoreError
from oomph.estimate.prediction import COMPONENTS, Prediction
from oomph.extras import pip_install
from oomph.files import replacing, write_file
from oomph.foreign_text import spreadsheet_cell
from oomph.records.disturbance import quiet_samples, remarks
from oomph.records.perplexity import perplexity
from oomph.records.schema import Buffers, Record, Timing

if TYPE_CHECKING:
    import pandas


class Compared(Protocol):
    """One quantity of a record beside its prediction, as `oomph.compare` gives them."""

    @property
    def record_id(self) -> str:
        """The record's."""

    @property
    def quantity(self) -> str:
        """Its name with its unit: `decode_tokens_per_s`, `total_vram_bytes`."""

    @property
    def device(self) -> str:
        """Where: a card's name in llama.cpp for memory."""

    @property
    def n_depth(self) -> int | None:
        """The depth of a speed."""

    @property
    def predicted(self) -> float:
        """What was predicted."""


def to_frame(
    items: Iterable[Record | Prediction], comparisons: Iterable[Compared] = ()
) -> "pandas.DataFrame":
    """Records, a row per timing, or predictions, a row each.

    A record has: identity, `config.*`, `reported.*`, peaks in bytes, `perplexity` and
    `kl_nats` (mean nats per token), `disturbance` in words, then `test n_depth n_parallel
    n_samples n_disturbed median_ns tokens_per_s`; with `comparisons` also what was predicted of it:
    `predicted_tokens_per_s` of a timing, `predicted.QUANTITY.DEVICE` of the point. A prediction
    has: model, `config.*`, `fits`, bytes by component and device, and speeds with their 90 %
    intervals. What was not measured, or is not known, is missing (NaN or None).
    """
    import pandas as pd

    predicted = defaultdict(list)
    for each in comparisons:
        predicted[each.record_id].append(each)
    rows = (
        [_prediction_row(item)]
        if isinstance(item, Prediction)
        else _rows(item, predicted.get(item.record_id, []))
        for item in items
    )
    return pd.DataFrame([row for found in rows for row in found])


def write_frame(frame: "pandas.DataFrame", path: Path) -> None:
    """Write the table as its suffix says: .csv or .parquet. StoreError for another suffix or a
    missing pyarrow."""
    try:
        if path.suffix == ".csv":
            write_file(path, _inert_texts(frame).to_csv(index=False))
        elif path.suffix == ".parquet":
            with replacing(path) as part:
                frame.to_parquet(part, index=False)
        else:
            raise StoreError(
                f"{path} has no suffix that says its format; end it in .csv or .parquet"
            )
    except ImportError:
        raise StoreError(
            f"Parquet needs pyarrow; `{pip_install('pyarrow')}`, or write .csv"
        ) from None


def _inert_texts(frame: "pandas.DataFrame") -> "pandas.DataFrame":
    """The table for a CSV file, which many open with a spreadsheet: no text of it is a formula."""
    return frame.map(lambda cell: spreadsheet_cell(cell) if isinstance(cell, str) else cell)


def columns_of(
    record: Record, predicted: Sequence[Compared] = ()
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The columns of a record's point, and those of each of its timings: a row has both."""
    point = _point_columns(record) | {
        f"predicted.{each.quantity}.{each.device}": each.predicted
        for each in predicted
        if each.n_depth is None
    }
    speeds = {(each.quantity, each.n_depth): each.predicted for each in predicted}
    return point, [_timing_columns(record, timing, speeds) for timing in record.timings]


def _rows(record: Record, predicted: list[Compared]) -> Iterator[dict[str, Any]]:
    point, timings = columns_of(record, predicted)
    yield from (point | timing for timing in timings or [{}])


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
        "perplexity": quality.value if (quality := perplexity(record)) else None,
        "kl_nats": fmean(record.quality.kl_nats)
        if record.quality and record.quality.kl_nats
        else None,
        "disturbance": "; ".join(remarks(record)) or None,
    }
    columns |= {f"config.{key}": value for key, value in record.config.items()}
    columns |= {f"reported.{key}": value for key, value in record.reported.model_dump().items()}
    columns |= {
        f"peak_{series.quantity}_bytes.{series.device}": series.peak_bytes
        for series in record.memory
    }
    for kind in Buffers.model_fields:
        columns |= {f"{kind}.{device}": size for device, size in record.buffer_mib(kind).items()}
    return columns


def _timing_columns(
    record: Record, timing: Timing, speeds: Mapping[tuple[str, int | None], float]
) -> dict[str, Any]:
    middle = median(timing.samples_ns) if timing.samples_ns else None
    columns = {
        "test": timing.test,
        "n_depth": timing.n_depth,
        "n_parallel": timing.n_parallel,
        "n_samples": len(timing.samples_ns),
        "n_disturbed": len(timing.samples_ns) - len(quiet_samples(record, timing)),
        "median_ns": middle,
        "tokens_per_s": timing.n_tokens * timing.n_parallel * 1e9 / middle if middle else None,
    }
    if not speeds:
        return columns
    is_prompt = timing.test.startswith("pp")
    asked = (
        ("prefill_tokens_per_s", timing.n_depth)
        if is_prompt  # a decode is predicted in the middle of its tokens
        else ("decode_tokens_per_s", int(timing.n_depth + timing.n_tokens / 2))
    )
    return columns | {"predicted_tokens_per_s": speeds.get(asked)}


def _prediction_row(prediction: Prediction) -> dict[str, Any]:
    speed = prediction.speed
    row: dict[str, Any] = {"model": prediction.model}
    row |= {f"config.{key}": value for key, value in prediction.config.to_dict().items()}
    row |= {
        "fits": prediction.fits,
        "fit_probability": prediction.fit_probability,
        "max_context": prediction.max_context,
        "total_vram_bytes": prediction.memory.total_vram_bytes,
    }
    for device, memory in prediction.memory.devices.items():
        row |= {f"{name}.{device}": getattr(memory, name) for name in COMPONENTS}
    for kind in ("prefill", "decode"):
        name = f"{kind}_tokens_per_s"
        low, high = (getattr(speed, f"{kind}_interval_90") if speed else None) or (None, None)
        row |= {name: getattr(speed, name, None), f"{name}.low": low, f"{name}.high": high}
    return row
