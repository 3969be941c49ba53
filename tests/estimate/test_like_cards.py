"""Cards that hold the same: which stand for the others, and that the answer is that of them all."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_entries, catalogue_model
from oomph.config import RunConfig
from oomph.estimate import like_cards, replays
from oomph.estimate.buffers import ComputeBuffers
from oomph.estimate.like_cards import leave_out_cards
from oomph.estimate.memory import MemoryModel
from oomph.estimate.repeats import KEPT, LeftOutCard, Selection, select_layers

ARCHITECTURES = {entry.arch: entry.name for entry in catalogue_entries()}


def selected(cards: list[str]) -> tuple[Selection, dict[int, str]]:
    """What is kept of layers, by their kinds: those of each card, `CUDA` with its number; in
    capitals the layers of a card that lie elsewhere, too. And where each layer has its home."""
    placed = [(i, kind) for i, kinds in enumerate(cards) for kind in kinds]
    homes = {il: f"CUDA{i}" for il, (i, kind) in enumerate(placed) if kind.islower()}
    return leave_out_cards(select_layers(placed, 3), "".join(cards), homes), homes


def test_of_equal_cards_two_stay_and_the_last() -> None:
    selection, _ = selected(["aaaaa"] * 8)
    assert selection.layers == (0, 1, 4, 5, 6, 9, 35, 36, 38, 39)
    assert [card.device for card in selection.cards] == [
        "CUDA2",
        "CUDA3",
        "CUDA4",
        "CUDA5",
        "CUDA6",
    ]
    assert {card.like for card in selection.cards} == {"CUDA1"}


def test_a_card_has_repetitions_of_its_own() -> None:
    selection, _ = selected(["aaaaa", "aaaaa", "aaaaaa", "aaaa", "aaaaa"])
    assert selection.cards == (
        LeftOutCard(device="CUDA2", like="CUDA1", n_left_out=((1, 3),)),
        LeftOutCard(device="CUDA3", like="CUDA1", n_left_out=((1, 1),)),
    )
    assert [run.n_left_out for run in selection.runs[:2]] == [2, 2]


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        (["aaa", "bbb", "aaa", "bbb", "aaa"], "none has one like it before it"),
        (["aaa", "aaa", "aab", "aaa"], "the third holds another layer"),
        (["aaa", "aaa", "aaa"], "the output is on the last"),
        (["aaa", "aaa", "aaa", "baa", "a"], "another layer is behind the third"),
        (["AAA", "AAA", "AAA", "AAA", "AAA"], "their layers lie elsewhere, too"),
        (["aaa", "aaa", "aaaaa", "aaa"], "of three layers none is left out, of five some are"),
    ],
)
def test_a_card_that_is_not_like_two_before_it_stays(cards: list[str], why: str) -> None:
    assert selected(cards)[0].cards == (), why


@given(st.lists(st.sampled_from(["aaaa", "aaaaaa", "ab", "abababab", "b", "AA"]), min_size=1))
def test_each_layer_is_kept_or_stood_for(cards: list[str]) -> None:
    selection, homes = selected(cards)
    on = {homes.get(il) for il in selection.layers}
    dropped = {card.device for card in selection.cards}
    n_layers = sum(map(len, cards))
    assert not on & dropped
    assert {homes.get(il) for il in range(n_layers)} == on | dropped
    assert {card.like for card in selection.cards} <= on
    assert selection.layers[-1] == n_layers - 1
    n_left_out = sum(run.n_left_out * run.period for run in selection.runs)
    for card in selection.cards:
        n_left_out += sum(homes.get(il) == card.like for il in selection.layers)
        n_left_out += sum(n * selection.runs[number].period for number, n in card.n_left_out)
    assert len(selection.layers) + n_left_out == n_layers


def apart(name: str, config: RunConfig) -> ComputeBuffers:
    """The compute buffers from a graph of every card."""
    memory = MemoryModel(catalogue_model(name, "Q4_K_M"))
    with patch.object(replays, "leave_out_cards", lambda selection, *_: selection):
        return memory.compute(memory.setup(config))


@pytest.mark.parametrize("name", ARCHITECTURES.values())
def test_every_buffer_is_that_of_a_graph_of_all_cards(name: str) -> None:
    memory = MemoryModel(catalogue_model(name, "Q4_K_M"))
    for knobs in (
        {"n_devices": 6, "n_gpu_layers": 20},
        {"n_devices": 8, "tensor_split": (1.0, 2.0, 2.0, 3.0, 2.0, 3.0, 2.0, 3.0)},
    ):
        config = RunConfig(n_ctx=8192).with_(**knobs)
        assert memory.compute(memory.setup(config)) == apart(name, config)


@pytest.mark.parametrize(
    ("name", "is_apart"), [("qwen3-235b-a22b-2507", True), ("mamba2-2.7b", False)]
)
@pytest.mark.parametrize("n_gpu_layers", [-1, 60])
def test_where_layers_take_room_elsewhere_all_cards_are_gone_through(
    name: str, n_gpu_layers: int, is_apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of Mamba 2's layers runs on the host, wherever they lie."""
    said: list[bool] = []

    def told(*about: Any) -> bool:
        said.append(like_cards.are_apart(*about))
        return said[-1]

    monkeypatch.setattr(replays, "are_apart", told)
    config = RunConfig(n_ctx=4096, n_devices=10, n_gpu_layers=n_gpu_layers)
    memory = MemoryModel(catalogue_model(name, "Q4_K_M"))
    assert memory.compute(memory.setup(config)) == apart(name, config)
    assert set(said) <= {is_apart}
    assert said or not is_apart


def test_eight_cards_are_hardly_more_layers_than_four() -> None:
    memory = MemoryModel(catalogue_model("qwen3-235b-a22b-2507", "Q4_K_M"))
    layers = {
        n: memory._compute._replays._select(memory.setup(RunConfig(n_devices=n)), KEPT[0]).layers
        for n in (4, 8, 16)
    }
    assert len(layers[16]) <= len(layers[8]) <= len(layers[4]) + 3
