"""What is drawn of an answer holds all of its bytes, by place and component."""

from typing import Any

import pytest

from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.machine import Machine
from oomph.estimate.prediction import COMPONENTS
from oomph.views.shown import shown_of


@pytest.mark.parametrize(
    ("cards", "knobs", "names"),
    [
        ("RTX 4090", {}, ["Card", "Host"]),
        ("2xRTX 3060", {"n_devices": 2}, ["CUDA0", "CUDA1", "Host"]),
        ("RTX 3060", {"n_cpu_moe": 20}, ["Card", "Host"]),
        (None, {"n_devices": 0}, ["Host"]),
    ],
)
def test_every_byte_is_in_one_place(
    cards: str | None, knobs: dict[str, Any], names: list[str]
) -> None:
    machine = Machine(ram_bytes=64 << 30)
    answer = Estimator("qwen3-30b-a3b:Q4_K_M", cards, machine=machine).predict(RunConfig(**knobs))
    shown = shown_of(answer)
    assert [place.name for place in shown.places] == names
    for i, part in enumerate(COMPONENTS):
        told = sum(place.parts[i] for place in shown.places)
        assert told == sum(getattr(each, part) for each in answer.memory.devices.values()), part
    *on_cards, host = shown.places
    assert [place.limit_bytes for place in on_cards] == [card.memory_bytes for card in answer.cards]
    assert host.limit_bytes == answer.host.room_bytes
    assert shown.on_cards == bool(on_cards)
    assert shown.notes[:-1] == answer.warnings
    assert shown.notes[-1].startswith("trust: ")


def test_a_host_that_is_the_cards_has_no_limit_of_its_own() -> None:
    answer = Estimator("qwen3-30b-a3b:Q4_K_M", "DGX Spark").predict(RunConfig())
    assert answer.host.is_shared
    assert shown_of(answer).places[-1].limit_bytes is None


def test_saved_prompts_without_a_limit_are_not_none() -> None:
    estimator = Estimator("qwen3-8b:Q4_K_M", "RTX 4090")
    for mib, told in ((-1, None), (0, 0), (512, 512 << 20)):
        answer = estimator.predict(RunConfig(cache_ram_mib=mib))
        assert shown_of(answer).prompt_cache_bytes == told
