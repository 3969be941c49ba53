"""Heads that draft by what comes into the target's layers, and targets that they are not for.

Every buffer of them is held against llama-server in tests/bench/test_contexts.py.
"""

from dataclasses import replace
from importlib import import_module

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.errors import ConfigError, ModelFileError
from oomph.estimate.draft import draft_config
from oomph.estimate.draft_pairs import draft_of, inferred_kind
from oomph.estimate.estimator import Estimator
from oomph.speculation import DFLASH, DSPARK, EAGLE3, MTP, SIMPLE
from oomph.units import GIB, MIB

TARGET = catalogue_model("qwen3-8b", "Q4_K_M")
SERVER = RunConfig(n_ctx=8192, swa_full=False, n_outputs_max=4)


def head(name: str = "eagle3-of-qwen3-8b:F16") -> ModelSpec:
    spec: ModelSpec = import_module("draft_shapes").head_spec(name)
    return spec


def test_the_target_keeps_what_its_head_reads_only_while_that_drafts() -> None:
    """120.01 MiB against 104.01, as llama-server printed them before its first batch and at it."""
    alone = Estimator(TARGET).memory(SERVER).devices["CUDA0"].compute_bytes
    estimator = Estimator(TARGET, riders=[draft_of(TARGET, head(), [EAGLE3])])
    idle, drafting = (
        estimator.memory(SERVER.with_(spec_type=kind)).contexts["target"]["CUDA0"].compute_bytes
        for kind in (None, EAGLE3)
    )
    assert idle == alone
    assert (drafting - idle) / MIB == pytest.approx(16.0, abs=0.01)


def test_what_a_head_shares_with_its_target_is_counted_once() -> None:
    estimator = Estimator(TARGET, riders=[draft_of(TARGET, head(), [EAGLE3])])
    memory = estimator.memory(SERVER.with_(spec_type=EAGLE3))
    assert memory.riders["draft"]["CUDA0"].weights_bytes / MIB == pytest.approx(762.06, abs=0.01)
    alone = Estimator(TARGET).memory(SERVER).devices["CUDA0"].weights_bytes
    assert memory.contexts["target"]["CUDA0"].weights_bytes == alone


def test_another_set_of_riders_changes_what_the_target_keeps() -> None:
    config = SERVER.with_(spec_type=EAGLE3)
    alone = Estimator(TARGET)
    ridden = alone.changed(riders=[draft_of(TARGET, head(), [EAGLE3])])
    kept = [each.memory(config).contexts["target"]["CUDA0"] for each in (ridden, alone)]
    assert kept[0].compute_bytes > kept[1].compute_bytes
    assert ridden.changed(riders=[]).memory(config) == alone.memory(config)


@pytest.mark.parametrize(
    ("target", "kinds", "why"),
    [
        ("qwen2.5-7b", [EAGLE3], "of architecture qwen2 gives none out"),
        ("qwen3-4b", [EAGLE3], "features of 4,096 numbers"),
        ("qwen3-0.6b", [EAGLE3], "reads layer 33, and .* has 28"),
        ("qwen3-8b", [SIMPLE], "by --spec-type draft-eagle3, not draft-simple"),
        ("qwen3-8b", [MTP], "by --spec-type draft-eagle3, not draft-mtp"),
        ("llama-3.1-8b", [EAGLE3], "of the same vocabulary"),
    ],
)
def test_a_head_of_another_model_is_refused(target: str, kinds: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        draft_of(catalogue_model(target, "Q4_K_M"), head(), kinds)


def test_a_kind_for_heads_is_not_for_a_model() -> None:
    draft = catalogue_model("qwen3-0.6b", "Q8_0")
    with pytest.raises(ConfigError, match="drafts with eagle3 alone"):
        draft_of(TARGET, draft, [EAGLE3])


def test_a_head_reads_as_many_layers_as_llama_cpp_asks_for() -> None:
    spec = head()
    less = replace(spec, metadata={**spec.metadata, "eagle3.target_layers": (2, 18)})
    with pytest.raises(ConfigError, match="lists 2 target_layers"):
        draft_of(TARGET, less, [EAGLE3])


def test_a_head_has_to_be_where_the_output_is_that_it_shares() -> None:
    cards = [Card(memory_bytes=24 * GIB, device=f"CUDA{i}") for i in range(2)]
    own = {n: each for n, each in head().tensors.items() if n not in ("d2t", "output.weight")}
    sharing = draft_of(TARGET, replace(head(), tensors=own), [EAGLE3])
    estimator = Estimator(TARGET, cards, riders=[sharing])
    config = SERVER.with_(spec_type=EAGLE3, spec_draft_device="CUDA1", tensor_split=(1.0, 0.0))
    with pytest.raises(ConfigError, match="--spec-draft-device has to name that card too"):
        estimator.memory(config)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dflash-of-qwen3-8b", DFLASH),
        ("dflash2-of-qwen3-8b", DFLASH),
        ("dspark-of-qwen3-8b", DSPARK),
        ("eagle3-of-qwen3-8b", None),
    ],
)
def test_the_kind_that_a_file_is_for_is_read_off_it(name: str, kind: str | None) -> None:
    assert inferred_kind(head(name)) == kind


@pytest.mark.parametrize(("kind", "rows"), [(DFLASH, 32), (DSPARK, 32), (EAGLE3, 2)])
def test_a_block_puts_out_a_row_for_each_of_its_tokens(kind: str, rows: int) -> None:
    asked = SERVER.with_(spec_type=kind, n_seq_max=2, spec_draft_n_max=15)
    assert draft_config(asked).n_outputs_max == rows


def test_a_head_with_a_graph_of_its_own_is_refused_with_what_is_known() -> None:
    spec = head("dspark-of-qwen3-8b")
    other = replace(spec, tensors={**spec.tensors, "hc_head_fn.weight": spec.tensors["fc.weight"]})
    with pytest.raises(ConfigError, match=r"of DeepSeek V4.*beyond its weights \([0-9,]+ MiB\)"):
        draft_of(TARGET, other, [DSPARK])


def test_a_block_reads_no_layer_past_the_last() -> None:
    spec = head("dflash-of-qwen3-8b")
    past = replace(spec, metadata={**spec.metadata, "dflash.target_layers": (2, 36)})
    with pytest.raises(ConfigError, match=r"reads layer 36, and .* has 36"):
        draft_of(TARGET, past, [DFLASH])


def test_a_head_by_itself_is_told_what_it_is_for() -> None:
    with pytest.raises(ModelFileError, match="name it with --spec-draft-model"):
        Estimator(head()).memory(SERVER)


def test_a_head_that_nothing_is_asked_of_is_said_to_be_let_go() -> None:
    estimator = Estimator(TARGET, riders=[draft_of(TARGET, head(), [])])
    assert any(f"--spec-type {EAGLE3}" in each for each in estimator.memory(SERVER).warnings)
