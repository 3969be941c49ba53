"""The package in a notebook: what Tab shows, what help says, and questions asked by name."""

import pydoc
from pathlib import Path

import pytest

import oomph
from oomph.config import RunConfig
from oomph.errors import ConfigError, UnknownNameError

MODEL = "qwen3-30b-a3b:Q4_K_M"


def test_tab_shows_the_names_and_each_can_be_had() -> None:
    assert set(dir(oomph)) == {*oomph.__all__, "__version__"}
    assert all(getattr(oomph, name).__doc__ for name in oomph.__all__)
    assert {"answer", "max_context", "write_report", "estimator_for", "open_bench"} <= set(
        dir(oomph)
    )
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = oomph.nothing


def test_help_explains_where_to_begin() -> None:
    text = pydoc.plain(pydoc.render_doc(oomph))
    calls = ("oomph.Estimator(", "oomph.answer(", "oomph.write_report(", "oomph.import_results")
    assert all(call in text for call in calls)


def test_an_estimator_takes_names_and_says_what_it_wants() -> None:
    named = oomph.Estimator(MODEL, "3090")
    assert named.gpu == oomph.gpu("RTX 3090")
    assert named.model == oomph.read_model(MODEL)
    config = RunConfig(n_ctx=8192)
    facts = oomph.Estimator(oomph.read_model(MODEL), oomph.gpu("3090"))
    assert named.predict(config) == facts.predict(config)
    with pytest.raises(ConfigError, match=r"not of int: give a ModelSpec, or a file, a URL"):
        oomph.Estimator(7)
    with pytest.raises(ConfigError, match=r'not of int: give a GpuSpec, or a name as "RTX 3090"'):
        oomph.Estimator(MODEL, 3090)
    with pytest.raises(UnknownNameError):
        oomph.Estimator(MODEL, "RTX 1")


def test_a_question_by_name_has_the_answer_of_the_command_line() -> None:
    found = oomph.answer(MODEL, "RTX 4090", n_ctx=32_768, n_expert_used=10)
    assert (found.verdict, found.n_expert_used, found.config.n_ctx) == ("yes", 10, 32_768)
    limits = oomph.max_context(MODEL, "RTX 4090", caches=("f16", "q8_0"), experts=(8,))
    assert [each.type_kv for each in limits] == ["f16", "q8_0"]
    assert 32_768 <= limits[0].sure_n_ctx < limits[1].sure_n_ctx
    with pytest.raises(ConfigError, match="about the memory of cards"):
        oomph.max_context(MODEL, n_devices=0)


def test_foreign_results_become_records_once(tmp_path: Path) -> None:
    probe = tmp_path / "probe.tsv"
    probe.write_text("context\tresult\tpeak_vram_mib\n4096\tok\t9000\n8192\toom\t\n")
    done = oomph.import_results([probe], tmp_path / "out", model="m", gpu="RTX 4090")
    assert (done.n_read, done.n_new, done.kept) == (2, 2, ())
    assert oomph.import_results([probe], tmp_path / "out", model="m", gpu="RTX 4090").n_new == 0
    assert [record.outcome.label for record in oomph.read_records([tmp_path / "out"])] == [
        "ok",
        "oom",
    ]
