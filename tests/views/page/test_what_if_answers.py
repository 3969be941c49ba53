"""What a page computes is what the package computes: hundreds of random settings in node, some
in a real browser."""

import json
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.draft import DraftModel
from oomph.estimate.estimator import Estimator
from oomph.estimate.machine import Machine
from oomph.estimate.posterior import Posterior
from oomph.estimate.prediction import Prediction
from oomph.gpus import gpu_specs
from oomph.views.trust_words import trust_sentence
from oomph.views.what_if import WhatIf, shared_facts, what_if
from oomph.views.what_if_page import what_if_script

Dom = Callable[..., str]
Question = dict[str, Any]

MODELS = {
    "qwen3-30b-a3b": "Q4_K_M",
    "gpt-oss-20b": "MXFP4",
    "deepseek-v2-lite": "Q4_K_M",
    "lfm2-8b-a1b": "Q8_0",
    "gemma-3-1b": "F16",
}
"""Experts, sliding windows with sinks, latent attention, recurrent layers, a dense model with two
caches."""
SHAPES, CONTEXTS = 4, 6
"""Of each model: what changes its graph, drawn so often, and each time as many contexts, depths and
cards."""

ASKER = """
const read = (id) => document.getElementById(id).textContent;
const { data, questions } = JSON.parse(read("case"));
const asked = ask(data.facts);
const numbered = (spec, i) => new cards$Card(spec.memory_bytes, spec, `CUDA${i}`);
const answers = questions.map(({ card, knobs, beside }) => {
  const several = Array.isArray(card) ? card.map((i, n) => numbered(shared().cards[i], n)) : null;
  const named = several ?? (card === "own" ? asked.own : shared().cards[card]);
  const answer = asked.predict(card === null ? null : named, knobs, beside);
  const speed = answer.speed, devices = answer.memory.devices.items();
  return {
    devices: Object.fromEntries(devices.map(([name, parts]) => [name, { ...parts }])),
    rates: speed && [speed.prefill_tokens_per_s, speed.decode_tokens_per_s],
    intervals: speed && [speed.prefill_interval_90, speed.decode_interval_90],
    bound_by: speed && speed.bound_by, slots: speed && speed.slots, reason: answer.speed_reason,
    fits: answer.fits, likely: answer.fit_probability,
    warnings: answer.warnings, longest: answer.max_context,
    trust: trust_words$trust_sentence(answer.memory.trust), shown: shown$shown_of(answer),
  };
});
"""


IN_BROWSER = """
const result = document.createElement("pre");
result.id = "result";
result.textContent = JSON.stringify(answers);
document.body.append(result);
"""
IN_NODE = """
const told = JSON.parse(require("fs").readFileSync(0, "utf8"));
globalThis.document = {
  getElementById: (id) => ({ textContent: told[id] }), querySelectorAll: () => [],
};
"""
"""What the script asks of a page, answered with what comes on standard input."""


def _in_node(asked: WhatIf, questions: list[Question]) -> list[dict[str, Any]]:
    """What the page's script answers in node: the same engine without a page."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node is installed; on Debian: apt-get install nodejs")
    case = {"data": asked.data, "questions": questions}
    told = {"what-if-shared": json.dumps(shared_facts()), "case": json.dumps(case)}
    script = IN_NODE + what_if_script() + ASKER + "console.log(JSON.stringify(answers));"
    with tempfile.NamedTemporaryFile("w", suffix=".cjs", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [node, file.name], input=json.dumps(told), capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def _in_browser(dom: Dom, asked: WhatIf, questions: list[Question]) -> list[dict[str, Any]]:
    """What the page's script answers."""
    case = {"data": asked.data, "questions": questions}
    html = f"""<!doctype html><meta charset="utf-8"><body>
    <script type="application/json" id="what-if-shared">{json.dumps(shared_facts())}</script>
    <script type="application/json" id="case">{json.dumps(case)}</script>
    <script>{what_if_script()}</script><script>{ASKER}{IN_BROWSER}</script>"""
    found = re.search(r'<pre id="result">(.*?)</pre>', dom(html), re.DOTALL)
    assert found, "the page's script did not come to its end"
    answers: list[dict[str, Any]] = json.loads(unescape(found[1]))
    return answers


def _settings(asked: WhatIf, seed: int) -> Iterator[Question]:
    """Random positions of every control, typed numbers between them, and what is beside the
    knobs."""
    chance = random.Random(seed)
    positions = asked.positions
    for _ in range(SHAPES):
        beside = {
            "quantization": chance.choice([None, *asked.quantizations]),
            "around": chance.choice(
                ({}, {"reserve_bytes": 1 << 30}, {"ram_bytes": 48 << 30, "reserve_bytes": 3 << 29})
            ),
        }
        shape = {
            knob: chance.choice(values)
            for knob, values in positions.items()
            if knob not in ("n_ctx", "filled")
        }
        shape |= {"n_seq_max": chance.choice((1, 1, 4)), "kv_unified": chance.random() < 0.5}
        if chance.random() < 0.5:
            shape["n_gpu_layers"] = -1
        n_cards = chance.choice((0, 1, 1, 1, 1, 2, 3))
        for _ in range(CONTEXTS):
            n_ctx = chance.choice((chance.choice(positions["n_ctx"]), chance.randint(256, 90_000)))
            knobs = {**shape, "n_ctx": n_ctx, "n_devices": n_cards}
            knobs["n_depth"] = chance.randint(0, 100) * RunConfig(**knobs).deepest // 100
            drawn = [chance.randrange(len(gpu_specs())) for _ in range(n_cards)]
            card = None if not drawn else drawn[0] if n_cards == 1 else drawn
            yield {"card": card, "knobs": knobs, "beside": beside}


def _expect_the_same(answer: dict[str, Any], prediction: Prediction) -> None:
    """Memory to the byte, speed and likelihood to what rounding leaves: far within a thousandth."""
    for name, device in prediction.memory.devices.items():
        for part, n_bytes in answer["devices"].pop(name).items():
            assert n_bytes == getattr(device, part), f"{name}.{part}"
    assert not answer["devices"]
    assert (answer["fits"], answer["warnings"]) == (prediction.fits, list(prediction.warnings))
    assert answer["trust"] == trust_sentence(prediction.memory.trust)
    assert answer["likely"] == pytest.approx(prediction.fit_probability, abs=1e-9)
    speed = prediction.speed
    assert answer["reason"] == prediction.speed_reason
    if speed is None:
        assert answer["rates"] is None
        return
    assert answer["rates"] == pytest.approx(
        [speed.prefill_tokens_per_s, speed.decode_tokens_per_s], rel=1e-9
    )
    for shown, told in zip(
        answer["intervals"], (speed.prefill_interval_90, speed.decode_interval_90), strict=True
    ):
        assert shown == (None if told is None else pytest.approx(told, rel=1e-9))
    assert answer["bound_by"] == speed.bound_by
    if speed.slots is None:
        assert answer["slots"] is None
        return
    assert {
        key: value for key, value in answer["slots"].items() if key in ("n_slots", "n_depth")
    } == {
        "n_slots": speed.slots.n_slots,
        "n_depth": speed.slots.n_depth,
    }
    assert answer["slots"]["decode_tokens_per_s"] == pytest.approx(
        speed.slots.decode_tokens_per_s, rel=1e-9
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_page_answers_random_settings_as_the_package_does(name: str) -> None:
    """24 of each of five models."""
    model = catalogue_model(name, MODELS[name])
    asked = what_if(Estimator(model))
    questions = list(_settings(asked, seed=len(name)))
    _expect_all_the_same(model, questions, _in_node(asked, questions))


def test_a_browser_answers_as_node_does(dom: Dom) -> None:
    model = catalogue_model("gpt-oss-20b", "MXFP4")
    asked = what_if(Estimator(model))
    questions = list(_settings(asked, seed=1))[:8]
    _expect_all_the_same(model, questions, _in_browser(dom, asked, questions))


def _expect_all_the_same(
    model: ModelSpec, questions: list[Question], answers: list[dict[str, Any]]
) -> None:
    for question, answer in zip(questions, answers, strict=True):
        card, beside = question["card"], question["beside"]
        numbers = card if isinstance(card, list) else [] if card is None else [card]
        kind = beside["quantization"]
        estimator = Estimator(
            catalogue_model(model.name, kind) if kind else model,
            [gpu_specs()[i] for i in numbers] or None,
            machine=Machine(**beside["around"]),
        )
        _expect_the_same(answer, estimator.predict(RunConfig(**question["knobs"]), longest=False))


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "qwen3-8b"])
def test_unlike_cards_are_answered_together(name: str) -> None:
    estimator = Estimator(catalogue_model(name, "Q4_K_M"), "5090,3080:9000,5090")
    whole = RunConfig(n_devices=3, n_ctx=8192, flash_attn="on")
    shapes = ({}, {"tensor_split": (1, 2, 3)}, {"n_gpu_layers": 11}, {"n_depth": 8000})
    asked = what_if(estimator, whole)
    questions = [{"card": "own", "knobs": {**asked.start, **shape}} for shape in shapes]
    for answer, shape in zip(_in_node(asked, questions), shapes, strict=True):
        prediction = estimator.predict(whole.with_(**shape), longest=False)
        assert prediction.speed is not None
        _expect_the_same(answer, prediction)


def test_many_cards_that_hold_the_same_are_answered_together() -> None:
    estimator = Estimator(catalogue_model("qwen3-30b-a3b", "Q4_K_M"), "8xRTX 3060")
    whole = RunConfig(n_devices=8, n_ctx=8192)
    shapes = ({}, {"n_gpu_layers": 40}, {"tensor_split": (5, 6, 7, 6, 5, 6, 7, 6)})
    asked = what_if(estimator, whole)
    questions = [{"card": "own", "knobs": {**asked.start, **shape}} for shape in shapes]
    for answer, shape in zip(_in_node(asked, questions), shapes, strict=True):
        _expect_the_same(answer, estimator.predict(whole.with_(**shape), longest=False))


def test_a_context_that_drafts_is_counted() -> None:
    estimator = Estimator(catalogue_model("qwen3.5-4b-mtp", "Q4_K_M"), "RTX 3060")
    config = RunConfig(n_ctx=8192, spec_type="draft-mtp", spec_draft_n_max=2, n_outputs_max=3)
    asked = what_if(estimator, config)
    (answer,) = _in_node(asked, [{"card": "own", "knobs": asked.start}])
    prediction = estimator.predict(config, longest=False)
    assert prediction.memory.riders
    _expect_the_same(answer, prediction)


def test_a_draft_model_is_counted_as_it_stood() -> None:
    draft = DraftModel(catalogue_model("qwen3-0.6b", "Q8_0"))
    estimator = Estimator(catalogue_model("qwen3-8b", "Q4_K_M"), "RTX 3060", riders=[draft])
    config = RunConfig(n_ctx=8192, spec_type="draft-simple")
    asked = what_if(estimator, config)
    (answer,) = _in_node(asked, [{"card": "own", "knobs": asked.start}])
    memory = estimator.memory(config)
    told = {name: sum(parts.values()) for name, parts in answer["devices"].items()}
    assert told == {name: device.total_bytes for name, device in memory.devices.items()}


@pytest.mark.parametrize("name", ["qwen3.5-4b", "qwen3-30b-a3b", "gemma-4-e2b"])
def test_slices_of_cards_are_answered_too(name: str) -> None:
    """Of a delta net, of experts, and of a cache that is cut otherwise than what reads it."""
    estimator = Estimator(catalogue_model(name, "Q4_K_M"), "5090,3080")
    whole = RunConfig(n_devices=2, n_ctx=8192, split_mode="tensor")
    shapes = ({}, {"tensor_split": (1.7, 0.9)}, {"n_gpu_layers": 11})
    asked = what_if(estimator, whole)
    questions = [{"card": "own", "knobs": {**asked.start, **shape}} for shape in shapes]
    for answer, shape in zip(_in_node(asked, questions), shapes, strict=True):
        prediction = estimator.predict(whole.with_(**shape), longest=False)
        assert prediction.speed is None
        _expect_the_same(answer, prediction)


def _expect_alike(told: Any, own: Any) -> None:
    """The same structure and values, floats to what rounding leaves."""
    if isinstance(own, dict):
        assert list(told) == list(own)
        for key, value in own.items():
            _expect_alike(told[key], value)
    elif isinstance(own, list | tuple):
        for one, other in zip(told, own, strict=True):
            _expect_alike(one, other)
    else:
        assert told == (pytest.approx(own, rel=1e-9, abs=1e-9) if type(own) is float else own)


@pytest.mark.parametrize(
    ("model", "cards", "knobs"),
    [
        ("qwen3-30b-a3b:Q4_K_M", "RTX 4090", {"n_ctx": 90_000, "n_depth": 45_000}),
        ("qwen3-30b-a3b:Q4_K_M", "RTX 4090", {"n_devices": 0}),
        ("llama-3.1-8b:Q4_K_M", None, {"n_devices": 0, "n_seq_max": 4}),
        ("gemma-4-26b-a4b:Q4_K_M", "2xRTX 3060", {"n_devices": 2, "type_k": "q8_0"}),
        ("qwen3-8b:Q4_K_M", "RTX 3060", {"n_ctx": 8192, "spec_type": "draft-simple"}),
        ("kimi-k2.5:Q4_K_M", "RTX 3060", {"n_ctx": 1 << 18}),
    ],
)
def test_the_answer_that_comes_with_a_page_is_the_scripts_own(
    model: str, cards: str | None, knobs: dict[str, Any]
) -> None:
    riders = [DraftModel(catalogue_model("qwen3-0.6b", "Q8_0"))] if "spec_type" in knobs else []
    machine = Machine(reserve_bytes=1 << 29, ram_bytes=64 << 30)
    estimator = Estimator(model, cards, riders=riders, machine=machine)
    asked = what_if(estimator, RunConfig(**knobs))
    own = {"card": "own" if knobs.get("n_devices") != 0 else None}
    assert asked.first
    (answer,) = _in_node(asked, [own | {"knobs": asked.first["knobs"]}])
    _expect_alike(answer["shown"], asked.first["shown"])


def test_no_answer_comes_with_a_page_that_begins_on_another_card() -> None:
    model = catalogue_model("qwen3-8b", "Q4_K_M")
    assert what_if(Estimator(model), RunConfig()).first is None
    assert what_if(Estimator(model, gpu_memory_bytes=24 << 30), RunConfig()).first is None


def test_a_calibration_of_the_page_is_used() -> None:
    default = default_coefficients()
    values = {**default.values, "host.bandwidth_bytes_per_s": 12e9, "host.flops_per_s": 5e10}
    known = Posterior(
        card="",
        names=("host.bandwidth_bytes_per_s",),
        covariance=((0.01,),),
        noise_sd={"prefill": 0.03, "decode": 0.05},
        scales={"decode dense": 1.7},
    )
    coefficients = Coefficients(values=values, posterior=known)
    estimator = Estimator(catalogue_model("smollm2-135m", "Q8_0"), coefficients=coefficients)
    config = RunConfig(n_devices=0, n_ctx=2048, n_depth=1024)
    asked = what_if(estimator, config)
    (answer,) = _in_node(asked, [{"card": None, "knobs": {**asked.start, "n_depth": 1024}}])
    prediction = estimator.predict(config)
    assert prediction.speed is not None
    assert prediction.speed.decode_interval_90 is not None
    _expect_the_same(answer, prediction)


def test_the_runtime_has_every_function_of_a_library_that_is_called(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    script = what_if_script()
    called = sorted(set(re.findall(r"(?<![\w$])\$[a-z]+\.[a-z_]\w*(?=\()", script)))
    assert "$bisect.bisect_left" in called
    path = tmp_path / "names.cjs"
    missing = f"""
    const has = (name) => {{
      try {{ return eval(name) !== undefined; }} catch {{ return false; }}
    }};
    const isMissing = (name) => has(name.split(".")[0]) && !has(name);
    console.log({json.dumps(called)}.filter(isMissing).join());"""
    path.write_text(IN_NODE + script + missing, encoding="utf-8")
    done = subprocess.run([node, path], input="{}", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
