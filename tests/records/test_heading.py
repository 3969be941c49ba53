"""A heading says what its record says, however the line is laid out, and costs no whole reading."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from oomph.errors import StoreError
from oomph.measure.accidents import standing
from oomph.records import store
from oomph.records.heading import Heading, HeadingReader, Tried, is_of_others, read_heading
from oomph.records.schema import Record
from oomph.records.store import Store


def assert_says(heading: Heading, record: Record) -> None:
    """The heading has the record's fields."""

    def said(tried: Tried) -> tuple[object, ...]:
        where, outcome = tried.environment, tried.outcome
        return (
            (tried.record_id, tried.point_id, tried.label, tried.load_ns, tried.config),
            (where.machine, where.backend, where.gpus, tried.conditions.anchor_of),
            (outcome.label, outcome.message, outcome.evidence, outcome.exit_code),
        )

    assert said(heading) == said(record)


@pytest.mark.parametrize(
    "folder", ["xeon-2-cores/demo", "h200/first-card", "phantom/frontier-qwen3-30b-a3b/rtx-4090"]
)
def test_a_heading_says_what_the_record_says(repository: Path, folder: str) -> None:
    kept = Store(repository / "results" / folder)
    records = list(kept.records())
    headings = list(kept.headings({record.point_id for record in records}))
    assert len(headings) == len(records)
    for record, heading in zip(records, headings, strict=True):
        assert_says(heading, record)
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
            assert_says(read_heading(text), Record(**said))
            assert not is_of_others(text, {said["point_id"]})
    with pytest.raises(ValidationError):
        read_heading(b'{"schema_version":1,"reported":{},"load_ns":1}')


def test_what_lines_say_alike_is_read_once_and_what_differs_is_not(repository: Path) -> None:
    line = (repository / "results/xeon-2-cores/demo/records.jsonl").read_bytes().splitlines()[0]
    reader, record = HeadingReader(), Record.model_validate_json(line)
    first, second = reader.read(line), reader.read(line)
    assert first == second
    assert first.environment is second.environment
    said = json.loads(line)
    for change in (
        {"label": 'a "label"', "point_id": "é"},
        {"outcome": said["outcome"] | {"label": "oom_kv", "evidence": ['"environment":{"x"']}},
        {"conditions": said["conditions"] | {"anchor_of": "another"}, "load_ns": None},
    ):
        changed = record.model_copy(update=Record(**(said | change)).__dict__)
        assert_says(reader.read(changed.model_dump_json().encode()), changed)


@pytest.mark.parametrize("torn", [b'"config":{', b'"environment":{', b'"conditions":{'])
def test_a_line_that_is_torn_inside_a_part_is_no_record(repository: Path, torn: bytes) -> None:
    line = (repository / "results/xeon-2-cores/demo/records.jsonl").read_bytes().splitlines()[0]
    at = line.index(torn) + len(torn)
    with pytest.raises((ValidationError, StoreError)):
        _ = read_heading(line[:at] + line[at + 30 :]).config
