"""Sweep files: what they expand to, and the sentence for everything that can be wrong in one."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.errors import ConfigError
from oomph.measure.fields import Range
from oomph.measure.plan import as_measurable
from oomph.measure.sweep import Sweep
from oomph.measure.workload import Workload
from oomph.records.schema import Environment

HEAD = 'name = "test"\nmodel = "demo"\n'


def _points(text: str) -> list[tuple[int, int | None]]:
    return [
        (p.config.n_ctx, p.config.n_expert_used)
        for p in Sweep.parse(HEAD + text).points(n_devices=0)
    ]


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("{first = 1024, last = 8192, mult = 2}", [1024, 2048, 4096, 8192]),
        ("{first = 1000, last = 1010, step = 4}", [1000, 1004, 1008]),
        ("{first = 3, last = 5}", [3, 4, 5]),
        ('"1024-4096*2"', [1024, 2048, 4096]),
        ('"512-1024+256"', [512, 768, 1024]),
        ('"5-7"', [5, 6, 7]),
        ('[256, "512-1024*2", 4096]', [256, 512, 1024, 4096]),
        ("640", [640]),
    ],
)
def test_an_axis_is_a_value_a_list_a_range_or_llama_benchs_spelling(
    axis: str, values: list[int]
) -> None:
    assert [n_ctx for n_ctx, _ in _points(f"axes.n_ctx = {axis}")] == values


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(2, 9))
def test_a_range_ascends_and_stays_within_its_ends(first: int, more: int, mult: int) -> None:
    values = Range(first=first, last=first + more, mult=mult).values()
    assert values[0] == first
    assert values[-1] <= first + more < values[-1] * mult
    assert all(later == earlier * mult for earlier, later in pairwise(values))


def test_points_that_share_a_load_stand_together_with_contexts_ascending() -> None:
    text = "axes = {n_ctx = [4096, 1024], n_expert_used = [8, 2]}"
    assert _points(text) == [(1024, 8), (4096, 8), (1024, 2), (4096, 2)]


def test_in_order_groups_come_one_after_another_with_their_references_first() -> None:
    text = """
{order}
[measure.text]
reference = {{ n_expert_used = 2 }}
[[group]]
name = "near"
axes = {{ n_ctx = 1024, n_expert_used = [8, 2, 4] }}
[[group]]
name = "far"
axes = {{ n_ctx = 4096, n_expert_used = [4, 8, 2] }}
"""
    ordered = _points(text.format(order="in_order = true"))
    assert ordered == [(1024, 2), (1024, 8), (1024, 4), (4096, 2), (4096, 4), (4096, 8)]
    assert _points(text.format(order="")) == [
        (1024, 2),
        (4096, 2),
        (1024, 8),
        (4096, 8),
        (1024, 4),
        (4096, 4),
    ]


def test_groups_change_axes_knobs_measurement_and_limits_and_share_points() -> None:
    sweep = Sweep.parse(
        HEAD + "axes.n_ctx = [256, 512]\nmeasure.n_gen = 3\n"
        "[[group]]\nname = 'plain'\n"
        "[[group]]\nname = 'same again'\n"
        "[[group]]\nname = 'limited'\nconfig.n_ubatch = 64\nmeasure.n_prompt = "
        "5\nlimits.memory_bytes = '1 GiB'\n"
    )
    plain, limited = sweep.points()[:2], sweep.points()[2:]
    assert {point.group for point in plain} == {"plain"}
    assert [(p.config.n_ubatch, p.workload.n_prompt, p.workload.n_gen) for p in limited] == [
        (64, 5, 3)
    ] * 2
    assert {point.limits.memory_bytes for point in limited} == {1024**3}
    assert plain[0].load_key != limited[0].load_key, "a limit is set before the model is loaded"


def test_a_points_id_is_its_models_knobs_work_and_limits_and_nothing_else() -> None:
    def point_id(text: str, header: str = "ab", n_devices: int = 0) -> str:
        (point,) = Sweep.parse(HEAD + text).points(n_devices=n_devices)
        return point.point_id(header)

    base = point_id("axes.n_ctx = 512")
    assert base == point_id(
        "axes.n_ctx = '512-512'\nquestion = 'other words'\nlimits.point_timeout_s = 5"
    )
    assert len(base) == 12
    others = {
        point_id("axes.n_ctx = 513"),
        point_id("axes.n_ctx = 512", header="cd"),
        point_id("axes.n_ctx = 512", n_devices=1),
        point_id("axes.n_ctx = 512\nmeasure.n_gen = 5"),
        point_id("axes.n_ctx = 512\nlimits.memory_bytes = 99"),
    }
    assert len(others | {base}) == 6


def test_depths_take_ranges_and_full() -> None:
    workload = Workload.model_validate({"depths": [0, "1024-4096*2", "full"]})
    assert workload.depths == (0, 1024, 2048, 4096, "full")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("axis.n_ctx = 5", r"unknown key 'axis'; the keys there are name, question, model"),
        ("axes.n_context = 5", r"unknown knob 'n_context'; the knobs are n_ctx"),
        ("axes.n_ctx = 'many'", r"n_ctx is 'many'; it takes a whole number"),
        ("axes.n_ctx = 0", r"n_ctx is 0; it must be at least 1"),
        ("axes.n_ctx = []", r"axes.n_ctx has no values"),
        (
            "axes.n_ctx = {first = 1, last = 9, mul = 2}",
            r"axes.n_ctx unknown key 'mul'; .* first, last, step, mult",
        ),
        ("axes.n_ctx = {first = 9, last = 1}", r"axes.n_ctx ends \(1\) before it starts \(9\)"),
        ("axes.type_k = 'q9_0'", r"type_k is 'q9_0'; it must be one of f32, f16"),
        ("measure.n_prompts = 5", r"measure: unknown key 'n_prompts'; the keys there are n_prompt"),
        ("measure.n_prompt = 'x'", r"measure: n_prompt is 'x'; input should be a valid integer"),
        ("measure.repetitions = {least = 5, most = 2}", r"most = 2, below least = 5"),
        (
            "measure.text = {fil = 'x'}",
            r"unknown key 'text.fil'; the keys there are file, n_tokens, n_ctx",
        ),
        ("limits.memory_bytes = '5 parsecs'", r"limits: memory_bytes is '5 parsecs'"),
        ("limits.load_timeout_s = -1", r"load_timeout_s is -1.*greater than 0"),
        ("[[group]]\naxes.n_ctx = 5", r"key 'group.0.name' is missing"),
        ("[[group]]\nname = 'g'\naxes.n_gpu = 1", r"group 'g': unknown knob 'n_gpu'"),
        ("load_mode = 'magic'", r"load_mode is 'magic'"),
        ("axes = [", r"not valid TOML"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_key(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        Sweep.parse(HEAD + text, path=Path("my.toml"))
    assert str(caught.value).startswith("my.toml: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        Sweep.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no UTF-8"):
        Sweep.load(tmp_path / "binary.toml")


def test_every_sweep_that_comes_with_oomph_is_whole(repository: Path) -> None:
    files = sorted((repository / "bench" / "sweeps").glob("*.toml"))
    assert files
    for file in files:
        assert file.read_text().startswith("# "), (
            f"{file.name} does not say which question it answers"
        )
        assert Sweep.load(file).points()


@pytest.mark.parametrize(
    ("model", "embeddings", "n_gen"),
    [
        ("qwen3-0.6b", "false", 3),
        ("qwen3-0.6b", "true", 0),
        ("bge-m3", "true", 0),
        ("bge-m3", "false", 0),
    ],
)
def test_what_writes_no_text_decodes_nothing(model: str, embeddings: str, n_gen: int) -> None:
    axes = f"axes = {{n_ctx = 256, embeddings = {embeddings}}}\nmeasure.n_gen = 3"
    (point,) = Sweep.parse(HEAD + axes).points(n_devices=0)
    here = Environment(
        machine="m", os="o", python="3", cpu="c", cpu_count=1, memory_bytes=1, backend="cpu"
    )
    measured = as_measurable(point, here, catalogue_model(model, "Q8_0"))
    assert measured.workload.n_gen == n_gen
