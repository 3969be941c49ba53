"""What the worker is asked beside speed, and the sweep's references from file to record, on a real
tiny model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.errors import ConfigError
from oomph.measure.executors import LocalExecutor
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.measure.texts import questions, read_texts, reference_path
from oomph.records.schema import Record
from oomph.records.store import Store

COMPARED = """
axes = {n_ctx = 128, n_expert_used = [2, 4], type_k = ["f16", "q8_0"]}
config.n_threads = 1
[measure]
n_prompt = 0
n_gen = 0
timing = false
text.file = "text.txt"
text.n_tokens = 60
text.n_ctx = 30
text.reference = {n_expert_used = 4, type_k = "f16"}
"""


@pytest.fixture
def sweep(tiny_moe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("the same words again " * 20)
    return Sweep.parse(f'name = "s"\nmodel = "{tiny_moe}"\n{COMPARED}', path=tmp_path / "s.toml")


def test_the_reference_comes_first_and_all_others_know_its_file(
    sweep: Sweep, tmp_path: Path
) -> None:
    points = sweep.points(n_devices=0)
    assert [point.is_reference for point in points] == [True, False, False, False]
    assert (points[0].config.n_expert_used, points[0].config.type_k) == (4, "f16")
    texts = read_texts(points, sweep)
    assert len({reference_path(point, texts, tmp_path) for point in points}) == 1
    other = reference_path(points[0], {"text.txt": "other words"}, tmp_path)
    assert other != reference_path(points[0], texts, tmp_path), (
        "a text that was edited has no reference yet"
    )
    asked = [questions(point, texts, tmp_path) for point in points]
    assert [a["text"]["compare"]["keep"] for a in asked if a] == [True, False, False, False]


@pytest.mark.parametrize("asked", ["text", "tasks"])
@pytest.mark.parametrize(
    ("knob", "said"), [("n_experts = 8", "unknown knob 'n_experts'"), ('type_k = "f9"', "type_k")]
)
def test_a_reference_that_names_no_knob_is_refused_with_its_key(
    make_sweep: Callable[[str], Sweep], asked: str, knob: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_sweep(f"[measure.{asked}]\nreference = {{ {knob} }}\n")
    assert str(caught.value).startswith(f"sweep: measure.{asked}.reference: ")
    assert said in str(caught.value)


def test_a_reference_that_is_no_point_is_refused(
    sweep: Sweep, make_sweep: Callable[[str], Sweep]
) -> None:
    with pytest.raises(ConfigError, match="add the values that it names to the axes"):
        make_sweep(
            COMPARED.replace("reference = {n_expert_used = 4", "reference = {n_expert_used = 3")
        )
    with pytest.raises(ConfigError, match="a reference without knobs, or with n_ctx"):
        make_sweep(COMPARED.replace("reference = {n_expert_used = 4", "reference = {n_ctx = 4"))


def test_a_reference_larger_than_its_limit_is_refused_before_anything_is_loaded(
    sweep: Sweep, tmp_path: Path
) -> None:
    file = sweep.file.model_copy(update={"limits": {"reference_bytes": 1000}})
    runner = Runner(Store(tmp_path / "out"), LocalExecutor())
    with pytest.raises(
        ConfigError, match=r"limits.reference_bytes is .*lower text.n_tokens from 60"
    ):
        list(runner.run(Sweep(file=file, path=sweep.path)))


def _by_setting(records: list[Record]) -> dict[tuple[int, str], Record]:
    return {(record.config["n_expert_used"], record.config["type_k"]): record for record in records}


@pytest.mark.llama
def test_settings_are_compared_resumed_and_never_with_the_wrong_thing(
    sweep: Sweep, tmp_path: Path
) -> None:
    store = Store(tmp_path / "out")
    found = _by_setting(list(Runner(store, LocalExecutor()).run(sweep)))
    qualities = {setting: record.quality for setting, record in found.items()}
    assert all(quality is not None and quality.kl_missing is None for quality in qualities.values())
    n_tokens = {setting: len(quality.kl_nats) for setting, quality in qualities.items() if quality}
    assert n_tokens == {(4, "f16"): 0, (4, "q8_0"): 58, (2, "f16"): 58, (2, "q8_0"): 58}
    quantized, fewer = qualities[4, "q8_0"], qualities[2, "f16"]
    assert quantized is not None
    assert fewer is not None
    assert 0 <= sum(quantized.kl_nats) < sum(fewer.kl_nats), (
        "an 8-bit cache is nearer than half of the experts"
    )
    assert len({quality.tokens_sha256 for quality in qualities.values() if quality}) == 1

    # One point is to be measured again, and the cache was emptied: its reference is measured again
    # with it.
    lines = store.path.read_bytes().splitlines(keepends=True)
    store.path.write_bytes(
        b"".join(line for line in lines if b'"n_expert_used=2 type_k=f16"' not in line)
    )
    for file in (tmp_path / "cache").rglob("*.logprobs"):
        file.unlink()
    again = _by_setting(list(Runner(store, LocalExecutor()).run(sweep)))
    assert set(again) == {(4, "f16"), (2, "f16")}
    repeated = again[2, "f16"].quality
    assert repeated is not None
    assert repeated.kl_nats == pytest.approx(fewer.kl_nats, abs=1e-5)
