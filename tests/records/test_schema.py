"""The format of records: the frozen specimen of each version still reads, and the page says what
the schema says."""

import json
from pathlib import Path

import pytest

from oomph.records.describe import render_schema
from oomph.records.schema import Record


def test_the_frozen_specimen_of_version_1_reads_and_writes_back_the_same(repository: Path) -> None:
    line = (repository / "tests" / "data" / "record_v1.jsonl").read_text()
    record = Record.model_validate_json(line)
    assert record.schema_version == 1
    assert record.reported.n_expert_used == record.config["n_expert_used"] == 2
    assert record.buffers.kv_cache_mib == {"CPU": [56.25]}
    assert record.timings[2].samples_ns
    written = json.loads(record.model_dump_json())
    for key, value in json.loads(line).items():
        assert _without_new(written[key], value) == value, f"{key} was changed by reading it"


@pytest.mark.parametrize(
    "folder", ["xeon-2-cores/demo", "h200/quiet-ladder", "epyc-2-cores/quality"]
)
def test_a_published_line_of_today_is_written_back_byte_for_byte(
    repository: Path, folder: str
) -> None:
    for line in (repository / "results" / folder / "records.jsonl").read_bytes().splitlines():
        assert Record.model_validate_json(line).model_dump_json().encode() == line


@pytest.mark.parametrize(
    "folder", ["epyc-2-cores/demo", "h200/first-card", "phantom/first-card-rtx-pro-6000-blackwell"]
)
def test_of_conditions_only_what_was_said_is_written_back(repository: Path, folder: str) -> None:
    for line in (repository / "results" / folder / "records.jsonl").read_bytes().splitlines():
        said = json.loads(line)["conditions"] | {"moon": {"phase": [1, None]}}
        for card in said.get("cards", {}).values():
            card["fan_percent"] = [30, 41.5]
        record = Record.model_validate(json.loads(line) | {"conditions": said})
        assert record.model_dump(mode="json")["conditions"] == said
        assert json.loads(record.model_dump_json(exclude_defaults=True))["conditions"] == said


def _without_new(written: object, specimen: object) -> object:
    """What `written` says under the specimen's keys: later fields may be added to a part."""
    if isinstance(written, dict) and isinstance(specimen, dict):
        return {key: _without_new(written[key], specimen[key]) for key in specimen}
    if isinstance(written, list) and isinstance(specimen, list) and len(written) == len(specimen):
        return [_without_new(*pair) for pair in zip(written, specimen, strict=True)]
    return written


def test_the_page_is_what_the_schema_generates(repository: Path) -> None:
    page = (repository / "docs" / "records.md").read_text()
    assert page == render_schema(), "run `oomph records schema > docs/records.md`"
    assert "see  |" not in page, "a field has no description"
