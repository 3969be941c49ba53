"""The table that is written row by row is pandas's own, byte for byte."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomph.errors import StoreError
from oomph.records.frames import to_frame, write_frame
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.records.table_file import write_table

FOLDERS = ["xeon-2-cores/demo", "h200/first-card", "phantom/frontier-qwen3-30b-a3b/rtx-4090"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_records_are_written_as_pandas_writes_them(
    tmp_path: Path, repository: Path, folder: str
) -> None:
    records = list(Store(repository / "results" / folder).records())
    write_frame(to_frame(records), tmp_path / "whole.csv")
    n_rows = write_table(iter(records), tmp_path / "rows.csv")
    assert n_rows == len(to_frame(records))
    assert (tmp_path / "rows.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    "knobs",
    [
        [{"n_ctx": 512}, {"n_ctx": 512, "n_threads": 3}, {"new": 1}, {"new": 2.5}],
        [{"kv_unified": True}, {"new": True}, {"new": 3}, {"new": "=1+1"}],
        [{"tensor_split": [1.0, 2.0]}, {"rope_scale": 1e16}, {"rope_scale": 2}, {"new": None}],
        [{"new": 'a "b", c\nd'}, {"new": (1 << 53) + 1}, {}, {"another": 1}],
    ],
)
def test_columns_with_gaps_and_of_several_kinds_are_too(
    tmp_path: Path, repository: Path, knobs: list[dict[str, object]]
) -> None:
    (whole, *_) = Store(repository / "results/xeon-2-cores/demo").records()
    without = whole.model_copy(update={"timings": [], "load_ns": None, "quality": None})
    records = [
        each.model_copy(update={"config": each.config | more})
        for more in knobs
        for each in (whole, without)
    ]
    for kept in (records, records[1:], [without], []):
        write_frame(to_frame(kept), tmp_path / "whole.csv")
        write_table(iter(kept), tmp_path / "rows.csv")
        assert (tmp_path / "rows.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_no_record_is_held_while_the_next_is_read(tmp_path: Path, repository: Path) -> None:
    (whole, *_) = Store(repository / "results/xeon-2-cores/demo").records()
    alive = set[int]()

    class Watched(Record):
        def __del__(self) -> None:
            alive.discard(id(self))

    def records() -> Iterator[Record]:
        for _ in range(20):
            assert len(alive) <= 2
            made = Watched.model_validate(whole.model_dump())
            alive.add(id(made))
            yield made

    assert write_table(records(), tmp_path / "rows.csv") == 20 * len(whole.timings)


def test_another_suffix_or_place_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "table.xlsx", tmp_path / "missing" / "table.csv"):
        with pytest.raises(StoreError, match=r"table"):
            write_table([], path)
