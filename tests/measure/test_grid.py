"""A grid says of its points what they say themselves once they are built, and builds none of them
before it must."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.measure.test_runner import Answering

from oomph.config import RunConfig
from oomph.measure.grid import Grid, Sketch
from oomph.measure.point import Point
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.store import Store

HEAD = 'name = "test"\nmodel = "demo"\n'
AXES = [
    "n_ctx = [4096, 512]\ntype_k = ['f16', 'fp16', 'q8_0']",
    "n_gpu_layers = ['all', 3, 5]\nn_ctx = [512, 256]\nn_seq_max = [2, 4]\nn_parallel = [1, 2]",
    "tensor_split = ['3/1', [1, 1]]\nsplit_mode = 'row'",
    "kv_unified = [true, 0, 'on']\nflash_attn = ['on', 'auto']\nn_expert_used = ['none', 2]",
    "rope_scale = [2, 2.0, 'none']\nn_cpu_ffn = [0, 2]\noverride_tensor = ['none', 'a=CPU']",
    "n_devices = [1, 2]\nn_ubatch = '64-256*2'",
]


def drawn(text: str) -> dict[str, Point | Sketch]:
    return Sweep.parse(HEAD + text).drawn(n_devices=2, header_sha256="ab")


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(
    "before", ["", "in_order = true\n", "measure.n_gen = 3\nload_mode='none'\n"]
)
def test_what_a_sketch_says_is_what_its_point_says(axes: str, before: str) -> None:
    groups = "[[group]]\nname = 'one'\n[[group]]\nname = 'two'\naxes.n_batch = [64, 2048]"
    text = f"{before}[axes]\n{axes}\n{groups}"
    found = drawn(text)
    assert all(isinstance(each, Sketch) for each in found.values())
    for point_id, each in found.items():
        point = each.build()
        assert point_id == each.point_id("ab") == point.point_id("ab")
        for name in ("load_key", "context_order", "comes_first", "group"):
            assert getattr(each, name) == getattr(point, name), name


@pytest.mark.parametrize("axes", AXES)
def test_points_are_those_that_each_combination_spells(axes: str) -> None:
    sweep = Sweep.parse(HEAD + f"[axes]\n{axes}")
    (group,) = sweep._groups(n_devices=1)
    assert isinstance(group, Grid)
    said = {name: [each.said for each in values] for name, values in group.axes.items()}
    spelled = [
        RunConfig.from_mapping({"n_devices": 1, **dict(zip(said, values, strict=True))})
        for values in itertools.product(*said.values())
    ]
    assert [each.build().config for each in group.sketches()] == spelled
    kept = {json.dumps(point.config.to_dict()) for point in sweep.points()}
    assert kept == {json.dumps(config.to_dict()) for config in spelled}


@pytest.mark.parametrize(
    "text",
    [
        "axes.embeddings = [true, false]",
        "axes.load_mode = ['none', 'mmap']",
        "axes.type_k = ['f16', 'q8_0']\nmeasure.text.reference = { type_k = 'f16' }",
        "measure.through = 'llama-server'\naxes.n_ctx = [512, 1024]",
    ],
)
def test_points_that_hang_on_each_other_or_on_their_program_are_built(text: str) -> None:
    assert all(isinstance(each, Point) for each in drawn(text).values())


def test_a_resumed_sweep_builds_no_point_that_was_measured(
    tmp_path: Path, make_sweep: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep("axes = {n_ctx = '256-12800+256', n_ubatch = [64, 128, 256, 512]}")
    built: list[Sketch] = []
    build = Sketch.build

    def counted(each: Sketch) -> Point:
        built.append(each)
        return build(each)

    monkeypatch.setattr(Sketch, "build", counted)
    runner = Runner(Store(tmp_path), Answering(), environment=read_environment(backend="cpu"))
    assert (runner.n_points(sweep), runner.n_pending(sweep)) == (200, 200)
    assert len(built) < 10
    assert len(runner.pending(sweep)) == 200
    assert 200 <= len(built) < 210
