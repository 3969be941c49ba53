"""Results of several machines in one folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.errors import StoreError
from oomph.records.merge import merge
from oomph.records.schema import Record
from oomph.records.store import Store


def _store(folder: Path, *records: Record) -> Store:
    with Store(folder) as store:
        for record in records:
            store.append(record)
    return store


def test_every_record_is_taken_once_in_order(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    one, two, three = (make_record(number, strange_key=number) for number in range(3))
    sources = [_store(tmp_path / "a", one, two), _store(tmp_path / "b", two, three)]
    target = Store(tmp_path / "c")
    assert merge(sources, target) == 3
    assert list(target.records()) == [one, two, three]
    assert merge(sources, target) == 0


def test_a_folder_that_is_none_or_the_target_is_named(
    tmp_path: Path, make_record: Callable[..., Record]
) -> None:
    source = _store(tmp_path / "a", make_record())
    with pytest.raises(StoreError, match=r"none has no records\.jsonl"):
        merge([Store(tmp_path / "none")], Store(tmp_path / "c"))
    with pytest.raises(StoreError, match="merged into itself"):
        merge([source], Store(tmp_path / "a"))
