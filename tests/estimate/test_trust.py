"""How far figures can be trusted: only what was seen is to the byte."""

from dataclasses import replace

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.draft import DraftModel
from oomph.estimate.estimator import Estimator
from oomph.estimate.trust import COMPOSED_SHARE, DRIFT_SHARE, NEWEST_BUILD, trust_of
from oomph.speculation import SIMPLE


@pytest.mark.parametrize(
    ("number", "has_cards", "build", "compute_share"),
    [
        (None, True, "seen", 0.0),
        (11_330, True, "seen", 0.0),
        (8829, False, "from source", None),
        (11_434, False, "from source", None),
        (NEWEST_BUILD, False, "seen", 0.0),
        (NEWEST_BUILD, True, "from source", None),
        (11_500, False, "unknown", DRIFT_SHARE),
        (NEWEST_BUILD + 1, False, "unknown", DRIFT_SHARE),
    ],
)
def test_a_build_is_seen_read_or_unknown(
    number: int | None, has_cards: bool, build: str, compute_share: float | None
) -> None:
    trust = trust_of("exact", number, has_cards=has_cards)
    assert (trust.build, trust.compute_share) == (build, compute_share)
    assert trust.is_exact == (build == "seen")


def test_an_unknown_graph_is_never_exact_and_a_learned_bound_counts() -> None:
    assert trust_of("composed", None, has_cards=False).compute_share == COMPOSED_SHARE
    assert trust_of("general rule", None, has_cards=False).compute_share is None
    learned = trust_of("exact", 20_000, has_cards=False, learned=0.0)
    assert learned.is_exact
    assert learned.is_learned
    assert not trust_of("exact", None, has_cards=False, learned=0.3).is_learned


def test_nothing_is_exact_under_a_build_newer_than_the_newest() -> None:
    model, config = catalogue_model("smollm2-135m", "Q8_0"), RunConfig(n_ctx=512)
    memory = Estimator(model, build=NEWEST_BUILD + 1).memory(config)
    assert not memory.exact_compute
    assert memory.trust.build == "unknown"
    assert Estimator(model).memory(config).trust.is_exact


def _unheard(name: str) -> ModelSpec:
    """The model as one of an architecture that is not in the table."""
    model = catalogue_model(name, "Q8_0")
    metadata = {k.replace(f"{model.arch}.", "unheard."): v for k, v in model.metadata.items()}
    return replace(model, arch="unheard", metadata=metadata)


def test_what_rides_along_is_trusted_no_further_than_it_is_known() -> None:
    target, config = catalogue_model("qwen3-1.7b", "Q8_0"), RunConfig(n_ctx=512, spec_type=SIMPLE)
    known = Estimator(target, riders=[DraftModel(catalogue_model("qwen3-0.6b", "Q8_0"))])
    memory = known.memory(config)
    assert memory.trust.is_exact
    assert memory.exact_compute
    composed = Estimator(target, riders=[DraftModel(_unheard("qwen3-0.6b"))]).memory(config)
    assert (composed.trust.architecture, composed.trust.rider) == ("composed", "draft")
    assert composed.trust.compute_share == COMPOSED_SHARE
    assert not composed.exact_compute
    less = Estimator(_unheard("qwen3-1.7b"), riders=[DraftModel(_unheard("qwen3-0.6b"))])
    assert less.memory(config).trust.rider == ""
