"""The context that drafts: what it takes, where, and what does not go together.

Every buffer of it is held against llama-server in tests/bench/test_contexts.py.
"""

from dataclasses import replace

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.draft import DraftModel
from oomph.estimate.draft_pairs import draft_of
from oomph.estimate.estimator import Estimator
from oomph.speculation import MTP, SIMPLE
from oomph.units import GIB, MIB

HEADED = catalogue_model("qwen3.6-27b-mtp", "Q4_K_M")
SERVER = RunConfig(n_ctx=32768, swa_full=False, n_outputs_max=4, spec_type=MTP)


@pytest.fixture(scope="module")
def headed() -> Estimator:
    return Estimator(HEADED, "RTX 3090")


def test_states_are_kept_once_more_for_each_drafted_token() -> None:
    """188.44 MiB for two tokens: as a user of Qwen3.6-35B-A3B saw it printed."""
    estimator = Estimator(catalogue_model("qwen3.6-35b-a3b-mtp", "Q4_K_M"))
    config = RunConfig(spec_type=MTP, spec_draft_n_max=2)
    states = estimator.memory(config).devices["CUDA0"].recurrent_bytes
    assert states / MIB == pytest.approx(188.44, abs=0.01)
    assert states == 3 * estimator.memory(RunConfig()).devices["CUDA0"].recurrent_bytes


def test_a_recurrence_that_cannot_go_back_keeps_one_state() -> None:
    estimator = Estimator(catalogue_model("qwen3-next-80b-a3b-mtp", "Q4_K_M"))
    with_head, without = (
        estimator.memory(RunConfig(spec_type=kind)).contexts["target"]["CUDA0"].recurrent_bytes
        for kind in (MTP, None)
    )
    assert with_head == without


def test_the_head_keeps_a_cache_of_its_own_types(headed: Estimator) -> None:
    """544.00 MiB at 262,144 tokens of q8_0, as llama.cpp's issue 23472 has it printed."""
    config = SERVER.with_(n_ctx=262_144, type_k="q4_0", type_v="q4_0")
    in_q8 = config.with_(spec_draft_type_k="q8_0", spec_draft_type_v="q8_0")
    caches = [
        headed.memory(each).riders["mtp"]["CUDA0"].kv_cache_bytes / MIB for each in (in_q8, config)
    ]
    assert caches == [544.0, 1024.0]


def test_without_a_head_it_is_said_in_one_sentence() -> None:
    bare = Estimator(catalogue_model("qwen3.6-27b", "Q4_K_M"), "RTX 3090")
    with pytest.raises(ConfigError, match=r"has no MTP head, and --spec-type draft-mtp needs one"):
        bare.memory(SERVER)
    with pytest.raises(ConfigError, match=r"has no MTP head"):
        bare.fits(SERVER)


def test_the_longest_context_is_that_with_the_head(headed: Estimator) -> None:
    knobs = SERVER.to_dict() | {"n_ctx": 256}
    alone = headed.max_context(**{**knobs, "spec_type": None})
    n_ctx = headed.max_context(**knobs)
    assert 0 < n_ctx < alone
    assert headed.fits(SERVER.with_(n_ctx=n_ctx))
    assert not headed.fits(SERVER.with_(n_ctx=n_ctx + 256))


def test_a_draft_of_another_vocabulary_is_refused() -> None:
    target, draft = catalogue_model("qwen3-32b", "Q4_K_M"), catalogue_model("llama-3.2-1b", "Q8_0")
    with pytest.raises(ConfigError, match="only with a model of the same vocabulary"):
        draft_of(target, draft, [SIMPLE])


def test_a_draft_of_an_unknown_graph_is_refused_with_what_is_known() -> None:
    target = catalogue_model("qwen3-14b", "Q4_K_M")
    draft = replace(catalogue_model("qwen3-0.6b", "Q8_0"), arch="unheard")
    draft = replace(draft, metadata={**draft.metadata, "unheard.block_count": 1})
    with pytest.raises(ConfigError, match=r"beyond its weights \([0-9,]+ MiB\) is not known"):
        draft_of(target, draft, [SIMPLE])


def test_a_draft_on_a_card_of_its_own_is_held_against_that_card() -> None:
    cards = [
        Card(memory_bytes=24 * GIB, device="CUDA0"),
        Card(memory_bytes=GIB // 2, device="CUDA1"),
    ]
    draft = DraftModel(catalogue_model("qwen3-1.7b", "Q8_0"))
    estimator = Estimator(catalogue_model("qwen3-14b", "Q4_K_M"), cards, riders=[draft])
    config = RunConfig(n_ctx=4096, spec_type=SIMPLE, spec_draft_device="CUDA1")
    memory = estimator.memory(config)
    assert memory.riders["draft"]["CUDA1"].weights_bytes > GIB
    assert memory.contexts["target"]["CUDA0"] == memory.devices["CUDA0"]
    assert not estimator.fits(config)
    assert [card.device for card in estimator.predict(config).cards] == ["CUDA0", "CUDA1"]


def test_a_draft_that_nothing_is_asked_of_is_said_to_be_let_go() -> None:
    draft = DraftModel(catalogue_model("qwen3-0.6b", "Q8_0"))
    estimator = Estimator(catalogue_model("qwen3-14b", "Q4_K_M"), riders=[draft])
    (note,) = estimator.memory(RunConfig()).warnings
    assert "loaded and then let go" in note
