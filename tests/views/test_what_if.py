"""What the page is given: facts and positions, and nothing that it should not have."""

import json
from dataclasses import replace

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.views.what_if import control_positions, estimator_script, model_facts, what_if
from oomph.views.what_if_page import render_what_if


@pytest.fixture(scope="module")
def moe() -> ModelSpec:
    return catalogue_model("olmoe-1b-7b", "Q4_K_M")


def test_texts_that_no_estimate_reads_stay_behind(moe: ModelSpec) -> None:
    metadata = {**moe.metadata, "tokenizer.chat_template": "secret", "general.author": "someone"}
    told = json.dumps(model_facts(replace(moe, metadata=metadata, source="/home/someone/m.gguf")))
    assert "secret" not in told
    assert "someone" not in told
    assert "blk.0.ffn_gate_exps.weight" in told


def test_a_calibrations_machine_stays_behind(moe: ModelSpec) -> None:
    coefficients = default_coefficients().with_values(calibrated_on={"machines": ["their-host"]})
    page = render_what_if(what_if(Estimator(moe, coefficients=coefficients)))
    assert "their-host" not in page


def test_sliders_reach_past_the_trained_context_and_hold_where_they_begin(moe: ModelSpec) -> None:
    positions = control_positions(moe, RunConfig(n_ctx=5000, n_ubatch=300, n_expert_used=64))
    assert positions["n_ctx"] == sorted(set(positions["n_ctx"]))
    assert {5000, moe.n_ctx_train, 131072} <= set(positions["n_ctx"])
    assert all(n % 256 == 0 for n in positions["n_ctx"] if n != 5000)
    assert 300 in positions["n_ubatch"]
    assert positions["n_expert_used"] == [*range(1, 17), 64]
    assert positions["n_gpu_layers"] == list(range(moe.n_layer + 2))


def test_a_dense_model_has_no_sliders_for_experts() -> None:
    asked = what_if(Estimator(catalogue_model("smollm2-135m", "Q8_0")))
    assert not {"n_expert_used", "n_cpu_moe"} & set(asked.positions)
    assert 'name="n_expert_used"' not in render_what_if(asked)


def test_a_page_is_small_and_asks_no_network(moe: ModelSpec) -> None:
    page = render_what_if(what_if(Estimator(moe, gpu("RTX 3090"))))
    assert len(page.encode()) < 1_000_000
    assert "http://" not in page
    assert "https://" not in page


def test_the_script_is_the_estimate_layer_of_today() -> None:
    script = estimator_script()
    for definition in (
        "class estimator$Estimator",
        "function speed_decode$decode_terms",
        "class pool$Pool",
    ):
        assert definition in script
    assert "read_text" not in script
