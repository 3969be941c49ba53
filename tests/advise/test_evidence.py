"""Sources: who asked for as much and ran, or for no more and ran out, of the same model on the
same card."""

from pathlib import Path
from typing import Any

import pytest

from oomph.advise.evidence import Evidence, evidence, is_of
from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.records.schema import Record
from oomph.records.store import Store

MODEL, CARD = "qwen3-30b-a3b:Q4_K_M", "RTX 4090"


@pytest.fixture(scope="module")
def seen(repository: Path) -> list[Record]:
    return list(Store(repository / "results/phantom/frontier-qwen3-30b-a3b/rtx-4090").records())


def on(
    records: list[Record], *, model: str = MODEL, card: str = CARD, **knobs: Any
) -> tuple[Evidence, ...]:
    estimator = Estimator(read_model(model), gpu(card))
    return evidence(estimator, RunConfig(**{"n_expert_used": 8, "n_ctx": 66_304} | knobs), records)


def changed(record: Record, **changes: Any) -> Record:
    return Record.model_validate(record.model_dump() | changes)


def test_the_same_and_what_asks_for_more_show_that_it_runs(seen: list[Record]) -> None:
    (same,) = on(seen)
    assert (same.says, same.is_same, same.n_filled, same.settles) == ("runs", True, 66_304, False)
    (more,) = on(seen, n_ctx=40_000)
    assert (more.says, more.is_same, more.n_ctx) == ("runs", False, 66_304)


def test_what_asks_for_less_and_ran_out_settles_it(seen: list[Record]) -> None:
    first = on(seen, n_ctx=90_000)[0]
    assert (first.says, first.is_same, first.settles) == ("runs_out", False, True)
    assert first.outcome == "oom_runtime"


def test_two_spellings_of_one_configuration_are_the_same(seen: list[Record]) -> None:
    spelled = {
        "flash_attn": "auto",
        "n_expert_used": None,
        "n_gpu_layers": 49,
        "rope_scaling": "yarn",
        "n_ctx": 66_200,
    }
    assert on(seen, **spelled)[0].is_same


@pytest.mark.parametrize(
    "other",
    [
        {"model": "qwen3-30b-a3b:Q5_K_M"},
        {"model": "qwen3-coder-30b-a3b:Q4_K_M"},
        {"card": "RTX 3090"},
        {"n_expert_used": 7},
        {"n_cpu_moe": 4},
        {"n_devices": 2},
    ],
)
def test_other_models_cards_and_placements_are_no_sources(
    seen: list[Record], other: dict[str, Any]
) -> None:
    assert on(seen, **other) == ()


def test_a_real_card_settles_what_a_phantom_cannot(seen: list[Record]) -> None:
    real = [changed(r, environment=r.environment.model_dump() | {"backend": "cuda"}) for r in seen]
    assert on(real)[0].settles


def test_a_context_that_was_not_filled_shows_only_that_it_loads(seen: list[Record]) -> None:
    half = [changed(r, conditions={"n_filled": 1000}) for r in seen if r.outcome.label == "ok"]
    assert {each.says for each in on(half)} == {"loads"}


def test_running_out_under_a_limit_says_nothing_of_the_card(seen: list[Record]) -> None:
    limited = [
        changed(r, limits={"memory_bytes": 1 << 30}) for r in seen if r.outcome.label != "ok"
    ]
    assert on(limited, n_ctx=90_000) == ()


def test_a_file_is_known_by_its_size(seen: list[Record]) -> None:
    from dataclasses import replace

    file = replace(read_model(MODEL), file_bytes=seen[0].model.file_bytes, source="somewhere.gguf")
    assert is_of(seen[0], Estimator(file, gpu(CARD)))
    assert not is_of(seen[0], Estimator(replace(file, file_bytes=1), gpu(CARD)))


LLAMA_SERVER = {
    "n_seq_max": 4,
    "kv_unified": True,
    "n_outputs_max": 4,
    "swa_full": False,
    "flash_attn": "auto",
}


def test_a_sweep_speaks_for_a_program_that_takes_no_more(seen: list[Record]) -> None:
    """Four slots that share a cache need less here than the logits of a whole batch."""
    (ran,) = on(seen, **LLAMA_SERVER)
    assert (ran.says, ran.is_same) == ("runs", False)
    assert on(seen, **LLAMA_SERVER, n_ctx=90_000) == ()


def test_a_program_that_takes_more_is_not_spoken_for(seen: list[Record]) -> None:
    """Caches of their own for each slot, which the record had not, and a batch of logits."""
    assert on(seen, n_seq_max=4, n_ctx=66_200) == ()
