"""The format of records: the frozen specimen of each version still reads, and the page says what
the schema says."""

import json
from pathlib import Path

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
