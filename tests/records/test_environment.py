"""What a record says of the machine."""

import re

import psutil
import pytest

from oomph.records.environment import (
    installed_backend,
    machine_name,
    physical_cores,
    read_environment,
)


def test_the_machine_is_described_as_it_is() -> None:
    here = read_environment(gpus=[{"name": "Card"}], driver="1.2")
    assert here.memory_bytes == psutil.virtual_memory().total
    assert 1 <= here.cpu_count == physical_cores() <= (psutil.cpu_count() or 1)
    assert here.backend == installed_backend()
    assert here.gpus == [{"name": "Card"}]
    assert re.match(r"\d", here.packages["llama-cpp-python"])
    assert here.llama_cpp_commit, "ggml says what it was built from"


@pytest.mark.parametrize(
    ("given", "name"), [("My Box!", "my-box"), ("a/../b", "a-b"), ("--", "machine")]
)
def test_a_machines_name_can_be_a_folders(
    monkeypatch: pytest.MonkeyPatch, given: str, name: str
) -> None:
    monkeypatch.setenv("OOMPH_MACHINE", given)
    assert machine_name() == name
