"""A sweep without a file: what is written reads back as what was asked."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.errors import ConfigError
from oomph.measure.sweep import Sweep
from oomph.measure.written_sweep import asked_sweep, sweep_text
from oomph.models.synth import write_synthetic


def written(axes: dict[str, list[Any]], *, depths: str | None = None) -> Sweep:
    text = sweep_text("m.gguf", axes, name='odd "name"', depths=depths, text=None)
    return Sweep.parse(text)


@given(
    st.fixed_dictionaries(
        {"n_ctx": st.lists(st.integers(1, 1 << 20), min_size=1, max_size=4, unique=True)},
        optional={
            "n_expert_used": st.lists(
                st.none() | st.integers(1, 64), min_size=1, max_size=3, unique=True
            ).filter(lambda values: None not in values or len(values) == 1),
            "type_k": st.lists(st.sampled_from(["f16", "q8_0"]), min_size=1, unique=True),
            "kv_unified": st.lists(st.booleans(), min_size=1, unique=True),
            "tensor_split": st.just([(3.0, 1.0)]),
        },
    )
)
def test_every_combination_is_a_point(axes: dict[str, list[Any]]) -> None:
    found = {
        tuple(getattr(point.config, knob) for knob in axes) for point in written(axes).points()
    }
    n_points = 1
    for values in axes.values():
        n_points *= len(values)
    assert len(found) == n_points
    assert {point.config.n_ctx for point in written(axes).points()} == set(axes["n_ctx"])


def test_depths_are_read_as_people_write_them() -> None:
    (point,) = written({"n_ctx": [32_768]}, depths="0,4k,full").points()
    assert point.workload.depths == (0, 4000, "full")
    with pytest.raises(ConfigError, match=r"--depths deep: 'deep' is no number .*, or full"):
        written({"n_ctx": [512]}, depths="deep")


def test_a_draft_runs_through_the_server(tmp_path: Path) -> None:
    (tmp_path / "d.gguf").touch()
    model, draft = str(tmp_path / "m.gguf"), str(tmp_path / "d.gguf")
    axes = {"n_ctx": [4096], "spec_draft_n_max": [4, 8]}
    found = asked_sweep(model, axes, out=tmp_path / "out", draft=draft)
    for point in found.points():
        assert (point.workload.through, point.workload.draft) == ("llama-server", draft)
        assert point.config.spec_type == "draft-simple"
    with pytest.raises(ConfigError, match="give both or neither"):
        asked_sweep(model, {"spec_type": [None]}, out=tmp_path / "out", draft=draft)
    with pytest.raises(ConfigError, match="put the knobs, depths, texts and drafts there"):
        asked_sweep("sweep.toml", {}, out=tmp_path / "out", draft=draft)


def test_a_text_is_scored_against_the_first_of_what_varies(tmp_path: Path) -> None:
    text = sweep_text("m.gguf", {"n_expert_used": [8, 10]}, name="m", depths=None, text="pydoc")
    scored = Sweep.parse(text).points()[0].workload.text
    assert scored
    assert (scored.file, scored.reference) == ("pydoc", {"n_expert_used": 8})


def test_the_file_is_kept_and_another_never_lost(tmp_path: Path) -> None:
    first = asked_sweep("m.gguf", {"n_ctx": [512]}, out=tmp_path)
    again = asked_sweep("m.gguf", {"n_ctx": [512]}, out=tmp_path)
    other = asked_sweep("m.gguf", {"n_ctx": [512, 1024]}, out=tmp_path)
    assert first.path == again.path == tmp_path / "sweep.toml"
    assert other.path == tmp_path / "sweep-2.toml"
    assert Sweep.load(tmp_path / "sweep.toml").points() == first.points()


def test_a_file_and_lists_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"s\.toml says what to measure; put the knobs"):
        asked_sweep("s.toml", {"n_ctx": [512]}, out=tmp_path)


def test_a_path_with_any_character_is_a_path_in_the_sweep_file(tmp_path: Path) -> None:
    """An emoji is beyond 16 bits, where JSON and TOML part; what does not print is escaped."""
    folder = tmp_path / "😀\U000e0041\u202e\n\x7f\"'\\"
    folder.mkdir()
    path = write_synthetic(catalogue_model("qwen3-0.6b", "Q4_K_M"), folder / "m.gguf")
    sweep = asked_sweep(str(path), {"n_ctx": [256]}, out=tmp_path / "out")
    assert Path(sweep.file.model) == path
    written = (tmp_path / "out" / "sweep.toml").read_text(encoding="utf-8")
    assert all(each.isprintable() for line in written.splitlines() for each in line)
    undecodable = str(path).replace("m.gguf", "\udcff.gguf")
    path.rename(undecodable)
    with pytest.raises(ConfigError, match="is no UTF-8"):
        asked_sweep(undecodable, {"n_ctx": [256]}, out=tmp_path / "other")
