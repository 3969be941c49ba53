"""The best placement: it fits, it holds what was said, and nothing that was offered is quicker."""

from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import pytest

from oomph.advise.placement.parts import GOALS, Goal
from oomph.advise.placement.search import (
    WHERE_LAYERS_GO,
    best_placement,
    divided,
    front,
    worth_showing,
)
from oomph.advise.speeds import speeds
from oomph.advise.verdict import SURE
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.host_memory import SYSTEM_BYTES
from oomph.estimate.machine import Machine
from oomph.units import GIB

MODELS = ("qwen3-30b-a3b:Q4_K_M", "gpt-oss-20b:MXFP4", "llama-3.1-8b:Q8_0", "qwen3.5-9b:Q4_K_M")
MACHINES = ("3060", "2x3060", "5090,3080", "4060,1060", "3090,2070,3060", "4090:9000,3060:4000")


@cache
def estimator(model: str, cards: str) -> Estimator:
    # it keeps what it has computed from one test to the next
    return Estimator(model, cards)


def drawn(seed: int) -> tuple[Estimator, RunConfig, frozenset[str], Goal]:
    rng = Random(seed)
    asked = estimator(rng.choice(MODELS), rng.choice(MACHINES))
    knobs: dict[str, Any] = {"n_devices": len(asked.cards), "swa_full": False}
    knobs["n_ctx"] = rng.choice((4096, 16384, 40960))
    held = set[str]()
    for knob, values in {
        "n_ubatch": (256, 1024),
        "type_k": ("q8_0",),
        "n_cpu_moe": (7,),
        "n_gpu_layers": (12,),
        "tensor_split": ((3.0, 1.0, 1.0),),
    }.items():
        if rng.random() < 0.25:
            value = rng.choice(values)
            knobs[knob] = value[: len(asked.cards)] if knob == "tensor_split" else value
            held.add(knob)
    knobs["type_v"] = knobs.get("type_k", "f16")
    held |= {"type_v"} if "type_k" in held else set()
    return asked, RunConfig(**knobs), frozenset(held), rng.choice(GOALS)


@pytest.mark.parametrize("seed", range(24))
def test_it_fits_holds_what_was_said_and_is_no_slower_than_what_was_asked(seed: int) -> None:
    asked, config, held, goal = drawn(seed)
    found = best_placement(asked, config, goal=goal, held=held)
    sure = asked.cautious(SURE)
    if found is None:
        assert not sure.fits(config)
        return
    assert sure.fits(found.config)
    assert not held & set(found.changes)
    changed = {k for k, v in config.to_dict().items() if found.config.to_dict()[k] != v}
    assert changed == set(found.changes)
    if goal == "context":
        assert found.config.n_ctx >= config.n_ctx or not sure.fits(config)
    else:
        assert found.config.n_ctx == config.n_ctx
        own = speeds(asked, config, asked.memory(config))
        if sure.fits(config) and own:
            rate = getattr(own.full, f"{goal}_tokens_per_s")
            assert found.rate(goal) >= rate * (1 - 1e-9)


@pytest.mark.parametrize("room", [0.5, 4.0, 16.0])
def test_it_takes_no_more_of_the_host_than_there_is(room: float) -> None:
    machine = Machine(ram_bytes=int(room * GIB) + SYSTEM_BYTES["linux"])
    asked = Estimator("qwen3-30b-a3b:Q4_K_M", "3060", machine=machine)
    config = RunConfig(n_ctx=16384, n_outputs_max=1)
    found = best_placement(asked, config)
    if room < 6:
        assert found is None
    else:
        assert found is not None
        assert asked.host(found.config).memory.busy_bytes <= room * GIB


def test_every_card_is_filled_where_experts_stay_on_the_host() -> None:
    asked = estimator("qwen3-30b-a3b:Q4_K_M", "4060,3060:7000")
    config = RunConfig(n_ctx=8192, n_devices=2, n_outputs_max=1)
    found = best_placement(asked, config, held=set(RunConfig().to_dict()) - WHERE_LAYERS_GO)
    assert found is not None
    piece = max(info.n_bytes for name, info in asked.model.tensors.items() if "_exps" in name)
    for name, n_bytes in asked.room_bytes(found.config).items():
        left = n_bytes - found.memory.devices[name].total_bytes
        assert left < 3 * piece, f"{name} has room for a layer's experts"


def test_layers_go_to_the_faster_card_first() -> None:
    config = RunConfig(n_ctx=4096, n_devices=2)
    for cards, fast in (("5090,3060", 0), ("3060,5090", 1)):
        found = best_placement(estimator("llama-3.1-8b:Q8_0", cards), config)
        assert found is not None
        split = found.config.tensor_split
        assert split is not None
        assert split[1 - fast] == 0


def test_a_cache_of_less_precision_must_be_worth_it() -> None:
    asked = estimator("llama-3.1-8b:Q8_0", "3060")
    roomy = best_placement(asked, RunConfig(n_ctx=8192))
    full = best_placement(asked, RunConfig(n_ctx=32768))
    assert roomy is not None
    assert full is not None
    assert roomy.config.type_k == "f16"
    assert full.config.type_k == "q8_0"
    assert {"type_k", "type_v"} <= set(full.changes)


def test_no_row_of_the_front_beats_another() -> None:
    rows = front(estimator("qwen3-30b-a3b:Q4_K_M", "3060"), RunConfig(n_ctx=16384))
    assert len(rows) > 1
    figures = [(r.config.n_ctx, r.decode_tokens_per_s, r.prefill_tokens_per_s) for r in rows]
    for one in figures:
        assert not any(
            one != other and all(b >= a for a, b in zip(one, other, strict=True))
            for other in figures
        )


def test_rows_that_read_alike_are_shown_once() -> None:
    """The search for decode and that for prefill may end at placements a hair apart."""
    row, *_ = front(estimator("qwen3-30b-a3b:Q4_K_M", "3060"), RunConfig(n_ctx=16384))
    twin = replace(row, config=row.config.with_(n_cpu_moe=row.config.n_cpu_moe + 1))
    longer = replace(row, config=row.config.with_(n_ctx=2 * row.config.n_ctx))
    unknown = replace(row, speeds=None), replace(twin, speeds=None)
    assert worth_showing([row, twin, row]) == [row]
    assert worth_showing([row, longer]) == [longer]
    assert worth_showing(unknown) == [*unknown]


def test_a_split_is_found_where_the_default_does_not_fit() -> None:
    asked = estimator("llama-3.1-8b:Q8_0", "4090:9000,3060:4000")
    config = RunConfig(n_ctx=16384, n_devices=2, n_outputs_max=1)
    found = divided(asked, config)
    assert found is not None
    assert asked.cautious(SURE).fits(found)
    assert divided(asked, config, holds_split=True) is None or asked.cautious(SURE).fits(config)
    assert divided(asked, config.with_(n_ctx=131072)) is None
