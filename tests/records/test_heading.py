"""A heading says what its record says, however the line is laid out, and costs no whole reading."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from oomph.errors import StoreError
from oomph.measure.accidents import standing
from oomph.records import store
from oomph.records.heading import Heading, is_of_others, read_heading
from oomph.records.schema import Record
from oomph.records.store import Store


@pytest.mark.parametrize(
    "folder", ["xeon-2-cores/demo", "h200/first-card", "phantom/frontier-qwen3-30b-a3b/rtx-4090"]
)
def test_a_heading_says_what_the_record_says(repository: Path, folder: str) -> None:
    kept = Store(repository / "results" / folder)
    records = list(kept.records())
    headings = list(kept.headings({record.point_id for record in records}))
    assert len(headings) == len(records)
    for record, heading in zip(records, headings, strict=True):
        assert heading == Heading.model_validate(record.model_dump())
        assert record.environment.gpus == heading.environment.gpus
    whole, light = standing(records), standing(headings)
    assert {key: each.record_id for key, each in whole.finished.items()} == {
        key: each.record_id for key, each in light.finished.items()
    }
    assert whole.again == light.again


def test_lines_of_other_points_are_passed_over_unread(tmp_path: Path, repository: Path) -> None:
    lines = (repository / "results/xeon-2-cores/demo/records.jsonl").read_bytes().splitlines()
    ids = [json.loads(line)["point_id"] for line in lines]
    broken = lines[0][:200] + b"}"
    (tmp_path / "records.jsonl").write_bytes(b"\n".join((broken, *lines[1:], b"")))
    assert [each.point_id for each in Store(tmp_path).headings({ids[3]})] == [ids[3]]


def test_a_pipe_is_not_waited_for_and_a_line_without_end_is_none(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LONGEST_LINE", 1 << 16)
    line = (repository / "results/xeon-2-cores/demo/records.jsonl").read_bytes().splitlines()[0]
    (tmp_path / "records.jsonl").write_bytes(b"{" * (1 << 20) + b"\n" + line + b"\n")
    with pytest.warns(UserWarning, match="is no record"):
        assert len(list(Store(tmp_path).records())) == 1
    (tmp_path / "records.jsonl").unlink()
    os.mkfifo(tmp_path / "records.jsonl")
    with pytest.raises(StoreError, match="is no file"):
        list(Store(tmp_path).records())


def test_a_foreign_layout_is_read_whole(repository: Path) -> None:
    line = (repository / "results/xeon-2-cores/demo/records.jsonl").read_bytes().splitlines()[0]
    said = json.loads(line)
    said["config"]["odd"] = {"x": 1, "reported": {"load_ns": 3}}
    said["conditions"]["odd"] = {"x": 1, "load_ns": 3}
    turned = dict(reversed(said.items()))
    for other in (said, turned):
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(other, separators=separators).encode()
            assert read_heading(text) == Heading.model_validate(Record(**said).model_dump())
            assert not is_of_others(text, {said["point_id"]})
    with pytest.raises(ValidationError):
        read_heading(b'{"schema_version":1,"reported":{},"load_ns":1}')
