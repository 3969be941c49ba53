"""Records as a table, and its way to a file."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from oomph.calibrate.comparison import Comparison
from oomph.config import RunConfig
from oomph.errors import StoreError
from oomph.estimate.estimator import Estimator
from oomph.records.frames import to_frame, write_frame
from oomph.records.schema import Record
from oomph.records.store import Store

Make = Callable[..., Record]


def test_a_timing_is_a_row_and_a_point_without_any_is_one_too(
    tmp_path: Path, make_record: Make
) -> None:
    with Store(tmp_path) as store:
        store.append(make_record(1))
        store.append(make_record(2, timings=[], outcome={"label": "oom_kv"}))
    frame = store.to_pandas()
    assert list(frame.outcome) == ["ok", "oom_kv"]
    assert frame.median_ns[0] == 3_000
    assert frame.tokens_per_s[0] == pytest.approx(8 / 3e-6)
    assert pd.isna(frame.median_ns[1])
    assert list(frame["config.n_ctx"]) == [257, 258]
    assert frame["peak_rss_bytes.host"][0] == 77
    assert frame["kv_cache_mib.CPU"][0] == 3.0, "two caches are both there"
    assert frame["compute_mib.CPU"][0] == 5.0, "a buffer that is reserved again is printed again"


@pytest.mark.parametrize(("suffix", "read"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_both_formats_read_back_what_was_written(
    tmp_path: Path, make_record: Make, suffix: str, read: Callable[[Path], pd.DataFrame]
) -> None:
    path = tmp_path / f"table{suffix}"
    write_frame(to_frame([make_record(1)]), path)
    assert read(path)["median_ns"][0] == 3_000


def test_a_file_that_cannot_be_is_one_sentence(tmp_path: Path, make_record: Make) -> None:
    frame = to_frame([make_record()])
    with pytest.raises(StoreError, match=r"\.csv or \.parquet"):
        write_frame(frame, tmp_path / "table.xlsx")
    with pytest.raises(StoreError, match="cannot be written"):
        write_frame(frame, tmp_path / "missing" / "table.csv")


def test_quality_disturbance_and_predictions_are_columns(tmp_path: Path, make_record: Make) -> None:
    quality = {"text": "t", "n_tokens": 2, "nll_nats": [1.0, 3.0], "kl_nats": [0.1, 0.3]}
    disturbed = make_record(2, quality=quality, conditions={"throttle_reasons": ["sw_thermal"]})
    with Store(tmp_path) as store:
        store.append(make_record(1))
        store.append(disturbed)
    timing = disturbed.timings[0]
    depth = timing.n_depth if timing.test.startswith("pp") else timing.n_depth + timing.n_tokens / 2
    kind = "prefill" if timing.test.startswith("pp") else "decode"
    told = [
        Comparison(
            record_id=disturbed.record_id,
            label="",
            quantity=quantity,
            device="CPU",
            n_depth=n_depth,
            predicted=predicted,
            measured=1.0,
        )
        for quantity, n_depth, predicted in (
            (f"{kind}_tokens_per_s", int(depth), 12.5),
            ("compute_bytes", None, 77.0),
        )
    ]
    frame = store.to_pandas(told)
    assert frame.perplexity[1] == pytest.approx(math.exp(2))
    assert frame.kl_nats[1] == pytest.approx(0.2)
    assert list(frame.disturbance.fillna("")) == ["", "throttled (sw_thermal)"]
    assert list(frame.n_disturbed) == [0, frame.n_samples[1]]
    assert frame.predicted_tokens_per_s[1] == 12.5
    assert frame["predicted.compute_bytes.CPU"][1] == 77.0
    assert frame[["perplexity", "predicted_tokens_per_s"]].loc[0].isna().all()


def test_predictions_are_rows_too() -> None:
    estimator = Estimator("qwen3-30b-a3b:Q4_K_M", "RTX 4090")
    configs = [RunConfig(n_ctx=n_ctx) for n_ctx in (4096, 8192)]
    frame = to_frame(estimator.predict_many(configs))
    assert list(frame["config.n_ctx"]) == [4096, 8192]
    assert list(frame["kv_cache_bytes.CUDA0"]) == [402653184, 805306368]
    assert (frame["decode_tokens_per_s.low"] < frame.decode_tokens_per_s).all()
    assert frame.fits.all()
