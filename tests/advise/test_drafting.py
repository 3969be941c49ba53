"""What drafting costs, and what is offered in its place."""

import pytest

from oomph.advise.alternatives import offers, would_have_fitted
from oomph.advise.drafting import (
    MOST_DRAFTED,
    drafting,
    fewer_drafted,
    head_bytes,
    head_notes,
    smaller_draft_caches,
    without_drafting,
)
from oomph.architectures.catalogue import catalogue_model
from oomph.config import COUNTED, RunConfig
from oomph.estimate.draft import DraftModel
from oomph.estimate.estimator import Estimator
from oomph.speculation import MTP, SIMPLE

SERVER = RunConfig(n_ctx=16384, swa_full=False, n_outputs_max=1)


@pytest.fixture(scope="module")
def headed() -> Estimator:
    return Estimator(catalogue_model("qwen3.5-4b-mtp", "Q4_K_M"), "RTX 3060")


def test_drafting_wants_more_rows_of_logits_where_they_are_the_slots() -> None:
    assert drafting(SERVER, spec_type=MTP).n_outputs_max == 4
    assert drafting(SERVER.with_(n_outputs_max=None), spec_type=MTP).n_outputs_max is None


def test_a_head_that_is_not_asked_for_has_a_price(headed: Estimator) -> None:
    with_head = drafting(SERVER, spec_type=MTP)
    price = headed.memory(with_head).total_vram_bytes - headed.memory(SERVER).total_vram_bytes
    assert head_bytes(headed, SERVER) == price > 0
    assert "--spec-type draft-mtp would take" in next(head_notes(headed, SERVER))
    assert head_bytes(headed, with_head) is None
    assert head_bytes(Estimator(catalogue_model("qwen3.5-4b", "Q4_K_M")), SERVER) is None


def test_milder_drafting_comes_mildest_first() -> None:
    config = drafting(SERVER, spec_type=MTP)
    fewer = [each.spec_draft_n_max for each in fewer_drafted(config)]
    assert fewer == [2, 1]
    assert [each.n_outputs_max for each in fewer_drafted(config)] == [3, 2]
    assert [each.spec_draft_type_k for each in smaller_draft_caches(config)] == ["q8_0", "q4_0"]
    assert fewer_drafted(SERVER) == list(smaller_draft_caches(SERVER)) == []


def test_without_drafting_the_draft_model_stays_away(headed: Estimator) -> None:
    assert without_drafting(headed, SERVER) is None
    draft = DraftModel(catalogue_model("qwen3-0.6b", "Q8_0"))
    estimator = Estimator(catalogue_model("qwen3-8b", "Q4_K_M"), riders=[draft])
    left = without_drafting(estimator, drafting(SERVER, spec_type=f"{SIMPLE},ngram-mod"))
    assert left is not None
    assert left[0].riders == ()
    assert left[1].spec_type == "ngram-mod"


def test_offers_are_of_the_draft_too(headed: Estimator) -> None:
    alone = headed.max_context(**SERVER.to_dict() | {"n_ctx": 256})
    config = drafting(SERVER, n_ctx=alone - 1024, spec_type=MTP)
    prediction = headed.predict(config, longest=False)
    assert not prediction.fits
    found = offers(headed, prediction, outcome="oom_compute", context="mtp")
    kinds = {offer.kind: offer for offer in found}
    assert kinds["spec_type"].config.spec_type is None
    assert kinds["n_ctx"].config.spec_type == MTP
    after = would_have_fitted(headed, config, "oom_compute", context="mtp")
    assert after is not None
    assert "no drafting (without --spec-type)" in after


def test_shorter_drafts_are_few_whatever_was_asked_for() -> None:
    asked = RunConfig(spec_type=SIMPLE, spec_draft_n_max=COUNTED - 1)
    assert [each.spec_draft_n_max for each in fewer_drafted(asked)] == [*range(MOST_DRAFTED, 0, -1)]
