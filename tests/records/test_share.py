"""Shared files: nothing of the machine comes through, however it got into a record, and what is
harmless does."""

import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.errors import StoreError
from oomph.records.harmless import scrub
from oomph.records.schema import Record
from oomph.records.share import contents, is_share, read_share, render_share
from oomph.records.store import Store

SECRETS = [
    "zq-workstation-7",
    "zq.example.lan",
    "/home/zquser/models/private.gguf",
    "zquser",
    "GPU-5f0a1c2e-77aa-4b1d-9c3e-zq1234567890",
    "1324021500917",
    "00:1a:2b:3c:4d:5e",
    "C:\\Users\\zquser",
    "Zürich-zq",
    "zq " * 300,
]


RESULTS = Path(__file__).resolve().parents[2] / "results"


@cache
def measured() -> tuple[Record, ...]:
    """Records of a CPU and of a phantom card, of all outcomes."""
    folders = ("epyc-2-cores/demo", "phantom/frontier-qwen3-30b-a3b/rtx-4090")
    return tuple(
        record for folder in folders for record in list(Store(RESULTS / folder).records())[:12]
    )


def spoiled(value: Any, secret: str, pick: Callable[[], int], *, key: str = "") -> Any:
    """The value with the secret in some of its texts and lists of texts, and under keys that no
    schema knows."""
    if isinstance(value, dict):
        added = (
            {secret: [1.0]}
            if key.endswith("_mib")
            else {secret: secret, "hostname": {"serial": [secret]}}
        )
        if key == "packages":
            added = {secret: secret}
        if key == "cards":
            added = {secret: {secret: secret}}
        if key.startswith("free_after"):
            added = {secret: 1}
        if key == "slow_probes":
            added = {secret: 0.5}
        changed = {name: spoiled(item, secret, pick, key=name) for name, item in value.items()}
        return changed | (added if pick() == 0 else {})
    if isinstance(value, list):
        is_of_texts = all(isinstance(item, str) for item in value)
        return [spoiled(item, secret, pick) for item in value] + (
            [secret] if value and is_of_texts else []
        )
    if isinstance(value, str):
        return [value, value, secret, f"{value} {secret}", f"{secret}{value}"][pick()]
    return value


@settings(max_examples=120, deadline=None)
@given(number=st.integers(0, 23), seed=st.integers(0, 2**32), secret=st.sampled_from(SECRETS))
def test_no_string_of_the_environment_survives(number: int, seed: int, secret: str) -> None:
    picks, data = random.Random(seed), measured()[number].model_dump(mode="json")
    dirty = Record.model_validate(spoiled(data, secret, lambda: picks.randrange(5)))
    text = render_share([dirty]) + "".join(contents([dirty]))
    assert secret.strip() not in text
    assert json.dumps(secret)[1:-1] not in text
    assert "zq" not in text


@pytest.mark.parametrize("secret", SECRETS)
def test_a_record_that_is_nothing_but_secrets_says_nothing(secret: str) -> None:
    for record in measured()[::6]:
        dirty = Record.model_validate(spoiled(record.model_dump(mode="json"), secret, lambda: 2))
        assert (
            secret in dirty.model_dump_json() or json.dumps(secret)[1:-1] in dirty.model_dump_json()
        )
        text = render_share([dirty])
        assert secret.strip() not in text
        assert "zq" not in text


def test_what_is_harmless_is_kept() -> None:
    for record in measured():
        kept = scrub(record)
        assert kept.config == record.config
        assert (kept.buffers, kept.timings, kept.outcome.label) == (
            record.buffers,
            record.timings,
            record.outcome.label,
        )
        assert [s.peak_bytes for s in kept.memory] == [s.peak_bytes for s in record.memory]
        assert kept.environment.llama_cpp_commit == record.environment.llama_cpp_commit
        assert kept.started_at == record.started_at[:10]
        assert kept.environment.machine == "shared"
    names = {card["name"] for record in measured() for card in scrub(record).environment.gpus}
    assert names == {"NVIDIA GeForce RTX 4090"}
    assert {scrub(record).model.path for record in measured() if record.environment.gpus} == {
        "qwen3-30b-a3b:Q4_K_M"
    }


def test_a_model_that_nobody_published_loses_its_name_and_the_contents_say_so(
    make_record: Any,
) -> None:
    record = make_record(
        model={
            "name": "ours",
            "path": "/x/ours.gguf",
            "arch": "llama",
            "file_bytes": 9,
            "header_sha256": "a" * 64,
        }
    )
    assert scrub(record).model.name == "a model that the catalogue lacks"
    assert scrub(record).model.header_sha256 == "a" * 64
    assert any("lose their model's name" in sentence for sentence in contents([record]))


def test_a_file_is_read_back_and_shared_again_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "share.jsonl"
    path.write_text(render_share(measured()))
    records = read_share(path)
    assert is_share(path)
    assert len(records) == len(measured())
    assert {record.environment.machine for record in records} == {records[0].environment.machine}
    assert records[0].environment.machine.startswith("shared-")
    assert render_share(records) == path.read_text()


def test_a_file_from_elsewhere_is_scrubbed_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "share.jsonl"
    lines = render_share(measured()[:1]).splitlines()
    said = json.loads(lines[1])
    said["environment"]["machine"], said["conditions"]["note"] = "<script>", "/home/zq"
    path.write_text(f"{lines[0]}\n{json.dumps(said)}\n")
    (record,) = read_share(path)
    assert record.environment.machine == "shared"
    assert "zq" not in record.model_dump_json()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace('"oomph_share": 1', '"oomph_share": 9'), "of version 9"),
        (lambda text: text.rstrip("\n").rpartition("\n")[0], "names 2 records and has 1"),
        (lambda text: text[:-20], "is no file that"),
        (lambda text: "", "is no file that"),
    ],
)
def test_what_is_no_shared_file_is_one_sentence(
    tmp_path: Path, change: Callable[[str], str], complaint: str
) -> None:
    path = tmp_path / "share.jsonl"
    path.write_text(change(render_share(measured()[:2])))
    with pytest.raises(StoreError, match=complaint):
        read_share(path)


def test_nothing_to_share_is_one_sentence() -> None:
    with pytest.raises(StoreError, match="no records to share"):
        render_share([])
