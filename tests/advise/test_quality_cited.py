"""Answers and explanations cite measured quality: the nearest setting, what was compared, or that
nothing was measured."""

from typing import Any

import pytest
from tests.quality.conftest import make_item, make_tasks

from oomph.advise.answer import answer_of
from oomph.advise.quality_cited import quality_cited
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.records.schema import Record
from oomph.views.answer import answer_json, details_text, nearest_quality
from oomph.views.explain import explain_text, topic_of

NAME = "qwen3-30b-a3b:Q4_K_M"
MODEL = {
    "name": "Qwen3 30B A3B",
    "path": NAME,
    "arch": "qwen3moe",
    "file_bytes": 0,
    "header_sha256": "q",
}
REFERENCE = {"n_expert_used": 8, "rope_scaling": None, "rope_scale": None}


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    """The catalogue's Qwen3 on a card."""
    return Estimator(NAME, "RTX 4090")


def _record(experts: int, n_right: int, **changes: Any) -> Record:
    items = [
        make_item(f"{n_tokens}-{k}", float(k < n_right), n_tokens=n_tokens)
        for n_tokens in (4096, 8192)
        for k in range(40)
    ]
    fields = {"n_expert_used": experts, "n_ctx": 16384, "reference": REFERENCE, "model": MODEL}
    return make_tasks(items, **(fields | changes))


@pytest.fixture
def records() -> list[Record]:
    """8 experts, 6, and 8 with YaRN."""
    scaled = {"rope_scaling": "yarn", "rope_scale": 4.0}
    return [_record(8, 36), _record(6, 20), _record(8, 34, config=scaled, record_id="yarn")]


def test_the_nearest_setting_comes_first(estimator: Estimator, records: list[Record]) -> None:
    found = quality_cited(estimator.model, RunConfig(n_ctx=32768, n_expert_used=9), records)
    assert [each.n_expert_used for each in found] == [8, 6, 8]
    assert [name for name, _ in found[0].apart] == ["n_expert_used"]
    own = quality_cited(estimator.model, RunConfig(n_ctx=32768, n_expert_used=6), records)
    assert (own[0].n_expert_used, own[0].apart, own[0].n_items) == (6, (), 80)
    assert own[0].compared is not None
    assert (own[0].compared.reference_experts, own[0].compared.finding) == (8, "worse")
    assert own[0].compared.value == pytest.approx(-0.4)


def test_the_models_own_number_is_what_is_asked_where_none_is(
    estimator: Estimator, records: list[Record]
) -> None:
    (first, *_) = quality_cited(estimator.model, RunConfig(n_ctx=32768), records)
    assert (first.n_expert_used, first.apart) == (8, ())


def test_another_models_records_say_nothing(estimator: Estimator, records: list[Record]) -> None:
    other = [r.model_copy(update={"model": r.model.model_copy(update={"path": "qwen3-8b:Q8_0"})})
             for r in records]  # fmt: skip
    assert quality_cited(estimator.model, RunConfig(n_ctx=32768), other) == ()


def test_a_text_is_cited_beside_its_reference(estimator: Estimator) -> None:
    losses = [3 + k % 7 / 10 for k in range(200)]
    text = {"text": "t", "n_tokens": 200, "n_pass": 201, "tokens_sha256": "a"}
    workload = {"text": {"file": None, "reference": {"n_expert_used": 8}}}
    records = [
        _record(
            experts,
            1,
            tasks=None,
            workload=workload,
            reported={"n_expert_used": experts},
            quality=text
            | {"nll_nats": [loss + shift + k % 3 / 100 for k, loss in enumerate(losses)]},
        )
        for experts, shift in ((8, 0.0), (6, 0.2))
    ]
    (found, *_) = quality_cited(estimator.model, RunConfig(n_ctx=4096, n_expert_used=6), records)
    assert (found.kind, found.n_items, found.by_length) == ("text", 200, ())
    assert found.compared is not None
    assert found.compared.value == pytest.approx(1.2214, abs=1e-3)
    assert found.compared.finding == "worse"


def test_an_answer_says_it_in_both_languages(estimator: Estimator, records: list[Record]) -> None:
    answer = answer_of(estimator, RunConfig(n_ctx=16384, n_expert_used=6), records)
    said = " ".join(details_text(answer, "en").split())
    assert (
        "Quality, measured: - 6 active experts: 50 % of 80 items right (95 %: 39 % to 61 %);"
        in said
    )
    assert "against 8 -40.0 points (" in said
    assert "over 80 pairs, worse (record 16384-6-, on the CPU of bench-1)." in said
    russian = details_text(answer, "ru").replace("\u00a0", " ")
    assert "Качество измерено" in russian
    assert "-40,0 п. п." in " ".join(russian.split())
    told = answer_json(answer)["quality"]
    assert told[0]["compared"]["finding"] == "worse"


def test_an_answer_says_that_nothing_was_measured(
    estimator: Estimator, records: list[Record]
) -> None:
    bare = [record.model_copy(update={"tasks": None}) for record in records]
    config = RunConfig(n_ctx=16384)
    assert "Quality: not measured" in details_text(answer_of(estimator, config, bare), "en")
    assert "Quality" not in details_text(answer_of(estimator, config), "en"), "none was given"


def test_the_nearest_of_each_kind_is_shown(estimator: Estimator, records: list[Record]) -> None:
    found = quality_cited(estimator.model, RunConfig(n_ctx=32768, n_expert_used=12), records)
    shown = nearest_quality(found)
    assert len(shown) == 1
    assert shown[0].apart[0][0] == "n_expert_used"


@pytest.mark.parametrize(
    ("topic", "measured", "missing"),
    [
        ("experts", "Quality, measured:", "Quality by active experts: not measured"),
        ("context", "How far it keeps everything in sight, measured:", "in sight: not measured"),
        ("rope", "What RoPE scaling costs, measured:", "What that costs at short lengths: not"),
    ],
)
def test_explanations_cite_it_or_say_that_it_is_missing(
    topic: str, measured: str, missing: str, records: list[Record]
) -> None:
    with_it = explain_text(topic, topic_of(NAME, "RTX 4090", records=records), "en")
    without = explain_text(topic, topic_of(NAME, "RTX 4090"), "en")
    assert measured in with_it
    assert missing in without
    assert measured not in without
    russian = explain_text(topic, topic_of(NAME, "RTX 4090", records=records), "ru")
    assert "измерен" in russian


def test_what_yarn_costs_is_told_length_by_length(records: list[Record]) -> None:
    said = " ".join(explain_text("rope", topic_of(NAME, "RTX 4090", records=records), "en").split())
    assert "8 active experts, yarn, × 4: 85 % of 80 items right" in said
    assert "against the reference (yarn, × 4 here) -5.0 points" in said
    assert "no difference shown" in said
    assert "effective length at least 8,192 tokens" in said, "nothing longer was asked"
    assert "85 % of 40 items right at 4,096 tokens" in said
