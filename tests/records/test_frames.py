"""Records as a table, and its way to a file."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from oomph.errors import StoreError
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
