"""What a record's open tables must hold: a line that says what cannot be is passed over, named, and
the others are read."""

import json
from pathlib import Path
from typing import Any

import pytest

from oomph.records.store import Store, record_of_line

LINE = (Path(__file__).parents[1] / "data" / "record_v1.jsonl").read_bytes().splitlines()[0]
CARD = {"name": "NVIDIA GeForce RTX 3090", "index": 0, "usable_bytes": 25_000_000_000}


def changed(*path: str | int, value: Any) -> bytes:
    """The line with another value there."""
    line = holder = json.loads(LINE)
    line["environment"]["gpus"] = [dict(CARD)]
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return json.dumps(line).encode()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("config", "n_parallel"), [1], "config.n_parallel"),
        (("config", "n_parallel"), None, "config.n_parallel"),
        (("config", "n_parallel"), 0, "config.n_parallel"),
        (("config", "n_parallel"), True, "config.n_parallel"),
        (("config", "a_later_knob"), {"a": 1}, "a knob that is a table"),
        (("config", "a_later_knob"), [[1]], "a list of lists"),
        (("workload", "text"), True, "workload.text is no table"),
        (("workload", "text", "reference"), [1], "workload.text.reference is no table"),
        (("workload", "n_prompt"), "many", "workload.n_prompt"),
        (("workload", "n_gen"), -1, "workload.n_gen"),
        (("workload", "group"), ["a"], "workload.group is no text"),
        (("limits", "memory_bytes"), -1, "limits.memory_bytes"),
        (("limits", "memory_kind"), 7, "limits.memory_kind is no text"),
        (("environment", "gpus", 0, "name"), {}, "the name of a card is no text"),
        (("environment", "gpus", 0, "index"), 0.5, "the index of a card"),
        (("environment", "gpus", 0, "usable_bytes"), "24 GB", "usable_bytes of a card"),
        (("environment", "gpus", 0, "ballast_bytes"), False, "ballast_bytes of a card"),
        (("quality", "nll_nats"), [1e38, 1.0], "a loss that no model can have"),
        (("quality", "kl_nats"), [1e38], "a divergence that no model can have"),
        (("quality", "n_tokens"), 0, "losses of 0 tokens"),
    ],
)
def test_what_cannot_be_is_refused(path: tuple[str | int, ...], value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        record_of_line(changed(*path, value=value))


@pytest.mark.parametrize("name", ["n_prompt", "n_gen", "text", "group", "load_mode", "through"])
def test_what_was_not_said_is_taken(name: str) -> None:
    assert record_of_line(changed("workload", name, value=None)).workload[name] is None


def test_a_line_that_is_refused_is_passed_over(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "records.jsonl").write_bytes(
        changed("workload", "text", value=7) + b"\n" + LINE + b"\n"
    )
    assert [each.record_id for each in Store(tmp_path).records()] == ["d4f33e7d8d0a-836f9c66"]
    assert "workload.text is no table" in str(recwarn[0].message)
