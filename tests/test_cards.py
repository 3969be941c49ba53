"""Lists of cards: every way to say them, in their order, and one sentence for what cannot be."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.cards import Card, card_memory, chosen_cards, read_cards, run_cards
from oomph.config import MAX_DEVICES
from oomph.errors import ConfigError, OomphError
from oomph.gpus import gpu, gpu_names
from oomph.measure.visible import cuda_order
from oomph.units import GIB, MIB

SHORT = {"3090": "RTX 3090", "5090": "RTX 5090", "3080": "RTX 3080", "pro 6000": "RTX PRO 6000"}
NAMES = st.sampled_from(gpu_names())
COUNTED = ("{n}x{name}", "{n} x {name}", "{n}× {name}", "{n}*{name}", "{name} x{n}")


def names(text: str | list[str], memory: str | None = None) -> list[str]:
    return [card.name for card in read_cards(text, memory)]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("3090,3090", ["3090", "3090"]),
        ("2x3090", ["3090", "3090"]),
        ("3090 x2", ["3090", "3090"]),
        ("3090,rtx pro 6000", ["3090", "pro 6000"]),
        (["RTX 5090", "RTX 3080"], ["5090", "3080"]),
        (["2x3090", "RTX 5090 + RTX 3080"], ["3090", "3090", "5090", "3080"]),
        ("rtx 3090; rtx 3080", ["3090", "3080"]),
    ],
)
def test_the_cards_are_those_that_are_said_in_their_order(
    said: str | list[str], wanted: list[str]
) -> None:
    found = read_cards(said)
    assert [card.spec for card in found] == [gpu(SHORT[name]) for name in wanted]
    assert [card.device for card in found] == [f"CUDA{i}" for i in range(len(wanted))]


@given(st.lists(st.tuples(st.integers(1, 3), NAMES, st.sampled_from(COUNTED)), max_size=5))
def test_any_list_of_the_catalogue_is_read_back(
    items: list[tuple[int, str, str]],
) -> None:
    said = [how.format(n=n, name=name) for n, name, how in items]
    wanted = [name for n, name, _ in items for _ in range(n)]
    assert names(said) == wanted
    assert names(",".join(said)) == wanted if said else True


@given(NAMES, st.integers(1, 1 << 20))
def test_a_card_may_have_another_memory(name: str, mib: int) -> None:
    (card,) = read_cards(f"{name}:{mib}")
    assert (card.spec, card.memory_bytes) == (gpu(name), mib * MIB)


@given(st.text(max_size=40))
def test_any_text_is_cards_or_one_sentence(text: str) -> None:
    with contextlib.suppress(OomphError):
        assert len(read_cards(text)) <= MAX_DEVICES


def test_sizes_are_one_for_all_or_one_for_each() -> None:
    assert [card.memory_bytes for card in read_cards(None, "24GiB,16GiB")] == [24 * GIB, 16 * GIB]
    assert [card.memory_bytes for card in read_cards("3090,3080", "8GiB")] == [8 * GIB] * 2
    assert [card.memory_bytes for card in read_cards("3090,3080", "24000,9000")] == [
        24_000 * MIB,
        9_000 * MIB,
    ]
    (bare,) = read_cards("16GiB")
    assert (bare.spec, bare.memory_bytes) == (None, 16 * GIB)


def test_laptops_and_max_q_cards_are_their_own() -> None:
    laptop, max_q = read_cards("rtx 4090 laptop,rtx pro 6000 max-q")
    assert "Laptop" in laptop.name
    assert "Max-Q" in max_q.name
    assert laptop.memory_bytes < gpu("RTX 4090").memory_bytes


@pytest.mark.parametrize(
    ("said", "memory", "message"),
    [
        ("0x3090", None, r"'0x3090' is 0 cards; llama.cpp takes 1 to 16"),
        ("65x3090", None, r"is 65 cards"),
        ("9999999999999x3090", None, r"llama.cpp takes 1 to 16"),
        ("9x3090,9x5090", None, r"names 18 cards; llama.cpp takes 16 at most"),
        ("3090,no such card", None, r"no card 'no such card' is known"),
        ("3090,3x no such card", None, r"no card '3x no such card' is known"),
        ("3090:", None, r"--gpu '3090:' is ;"),
        ("3090:much", None, r"the size in --gpu '3090:much' is much"),
        ("3090:-5", None, r"the size in --gpu '3090:-5' is -5"),
        ("", None, r"name a card"),
        (" , ", None, r"name a card"),
        ("3090,3080", "24GiB,16GiB,8GiB", r"--gpu-mem gives 3 sizes and --gpu 2 cards"),
        (None, "24GiB,nan", r"--gpu-mem is nan"),
        (None, "24GiB,,16GiB", r"--gpu-mem is ;"),
    ],
)
def test_what_cannot_be_is_one_sentence(said: str | None, memory: str | None, message: str) -> None:
    with pytest.raises(OomphError, match=message):
        read_cards(said, memory)


def test_a_run_uses_the_first_cards_or_more_of_one_kind() -> None:
    cards = read_cards("5090,3080")
    assert [card.device for card in run_cards(cards, 1)] == ["CUDA0"]
    assert [card.device for card in run_cards(cards[:1], 3)] == ["CUDA0", "CUDA1", "CUDA2"]
    with pytest.raises(ConfigError, match="n_devices is 3, and 2 cards are named"):
        run_cards(cards, 3)


def test_devices_are_chosen_by_name_and_in_order() -> None:
    cards = read_cards("5090,3080,3090")
    assert [card.device for card in chosen_cards(cards, ("CUDA2", "cuda0"))] == ["CUDA2", "CUDA0"]
    for wrong in (("CUDA3",), ("CUDA0", "CUDA0"), ("Vulkan0",)):
        with pytest.raises(ConfigError, match="the cards are CUDA0"):
            chosen_cards(cards, wrong)


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), 1e30])
def test_no_card_has_such_a_memory(size: Any) -> None:
    with pytest.raises(ConfigError):
        card_memory(size)
    assert Card(memory_bytes=GIB).name == "card of 1024 MiB"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ["RTX 5090", "RTX 3090", "RTX 3080"]),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ["RTX 3080", "RTX 5090", "RTX 3090"]),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, ["RTX 3080", "RTX 5090"]),
        (
            {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
            ["RTX 5090"],
        ),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1,0"}, ["RTX 5090", "RTX 3090", "RTX 3080"]),
        ({"CUDA_VISIBLE_DEVICES": "7"}, ["RTX 5090", "RTX 3090", "RTX 3080"]),
    ],
)
def test_the_machines_own_cards_are_in_cudas_order(
    environment: dict[str, str], wanted: list[str]
) -> None:
    by_bus = [gpu(name) for name in ("RTX 3080", "RTX 5090", "RTX 3090")]
    assert list(cuda_order(by_bus, environment)) == [gpu(name) for name in wanted]
