"""Can I: the verdict, what it rests on, and the command that settles it."""

import shlex
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from oomph.advise.answer import Answer, answer_of
from oomph.advise.max_context import longest_context
from oomph.advise.quantizations import smaller_variants
from oomph.architectures.source import read_model
from oomph.cli.app import load
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.estimate.machine import Machine
from oomph.estimate.memory import MemoryModel
from oomph.gpus import gpu
from oomph.programs.said import Said
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.units import GIB, MIB

MODEL = "qwen3-30b-a3b:Q4_K_M"


@cache
def estimator(model: str = MODEL, card: str = "RTX 4090") -> Estimator:
    # it keeps what it has computed from one test to the next
    return Estimator(read_model(model), gpu(card))


def ask(model: str = MODEL, records: list[Record] | None = None, **knobs: Any) -> Answer:
    return answer_of(estimator(model), RunConfig(**knobs), records or [])


@pytest.fixture(scope="module")
def seen(repository: Path) -> list[Record]:
    return list(Store(repository / "results/phantom/frontier-qwen3-30b-a3b/rtx-4090").records())


@pytest.mark.parametrize(
    ("n_ctx", "verdict"),
    [(32_768, "yes"), (61_440, "probably"), (62_208, "doubtful"), (90_000, "no")],
)
def test_the_verdict_follows_the_probability(n_ctx: int, verdict: str) -> None:
    found = ask(n_ctx=n_ctx)
    assert found.verdict == verdict
    assert found.probability is not None
    assert (found.margin_bytes >= 0) == (found.probability >= 0.5)
    assert (found.speeds is None) == (verdict in ("doubtful", "no"))
    assert bool(found.offers) == (verdict != "yes")


@pytest.mark.parametrize(
    ("spare_mib", "verdict"),
    [(700, "yes"), (400, "probably"), (100, "doubtful"), (20, "no"), (-1, "no")],
)
def test_a_card_without_a_name_must_have_room_for_a_context_like_the_known_ones(
    spare_mib: int, verdict: str
) -> None:
    """Theirs take from 41 MiB to 669, half of them 181 or less."""
    config, model = RunConfig(n_ctx=4096), read_model("qwen3-0.6b:Q8_0")
    card = Estimator(model, gpu_memory_bytes=8 * GIB).memory(config).devices["CUDA0"]
    room = card.total_bytes - card.overhead_bytes + spare_mib * MIB
    found = answer_of(Estimator(model, gpu_memory_bytes=room), config)
    assert found.verdict == verdict


def test_a_measurement_overrules_the_estimate(seen: list[Record]) -> None:
    out = ask(records=seen, n_ctx=90_000, n_expert_used=8)
    assert (out.verdict, out.is_measured, out.next_command) == ("no", True, None)
    real = [
        Record.model_validate(
            r.model_dump() | {"environment": r.environment.model_dump() | {"backend": "cuda"}}
        )
        for r in seen
    ]
    ran = ask(records=real, n_ctx=66_304, n_expert_used=8)
    assert (ran.verdict, ran.is_measured) == ("yes", True)
    assert ran.probability is not None
    assert ran.probability < 0.1, "what the estimate said stays in the answer"


def test_a_phantom_leaves_the_context_of_a_real_card_open(seen: list[Record]) -> None:
    found = ask(records=seen, n_ctx=60_000, n_expert_used=8)
    assert (found.is_measured, found.evidence[0].says) == (False, "runs")
    command = "oomph frontier MODEL.gguf --as llama-cpp-python --limit 60160 --n-expert-used 8"
    assert found.next_command == command


@pytest.mark.parametrize(
    ("knobs", "refusal"),
    [
        ({"n_expert_used": 32}, "experts"),
        ({"type_v": "q8_0", "flash_attn": "off"}, "quantized_v"),
        ({"split_mode": "row"}, "split_mode"),
    ],
)
def test_what_llama_cpp_refuses_fits_no_card(knobs: dict[str, Any], refusal: str) -> None:
    found = ask(**knobs)
    assert (found.verdict, found.refusal) == ("refused", refusal)
    assert (found.first_failure, found.speeds, found.next_command) == (None, None, None)


def test_more_sequences_than_llama_cpp_serves_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="256 sequences at most"):
        ask(n_seq_max=300, n_ctx=131_072)


def test_latent_attention_wants_one_cache_type() -> None:
    assert ask("deepseek-v2-lite:Q4_K_M", type_k="q8_0").refusal == "latent_types"


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"n_expert_used": 10, "n_ctx": 90_000, "flash_attn": "off"},
        {"n_cpu_moe": 12},
        {"type_k": "q8_0", "type_v": "q8_0", "n_ubatch": 256},
    ],
)
def test_the_command_that_settles_it_parses_and_asks_for_the_same(knobs: dict[str, Any]) -> None:
    command = ask(**knobs).next_command
    assert command is not None
    words = shlex.split(command)
    given = load("frontier").make_context(words[0], words[2:]).params
    assert (given["model"], given["phantom"]) == (MODEL, "NVIDIA GeForce RTX 4090")
    assert int(given["limit"]) >= knobs.get("n_ctx", 4096) > int(given["limit"]) - 256
    assert given["flash_attn"] == knobs.get("flash_attn", "on")
    assert given["type_kv"] == knobs.get("type_k", "f16")
    assert given["n_cpu_moe"] == knobs.get("n_cpu_moe", 0)


def test_what_the_frontier_does_not_take_is_not_commanded() -> None:
    assert ask(n_seq_max=4).next_command is None
    assert ask("llama-3.3-70b:Q4_K_M").next_command is None, "the weights alone do not fit"


def test_beyond_the_native_context_it_names_the_scaling() -> None:
    beyond, within = ask(n_ctx=65_536), ask(n_ctx=32_768)
    assert beyond.scaling is not None
    assert (beyond.scaling.factor, beyond.scaling.is_published) == (2.0, True)
    assert (within.scaling, within.native_context) == (None, 40_960)


def test_without_a_card_it_is_the_hosts_memory_that_counts() -> None:
    model, config = read_model("llama-3.1-8b:Q8_0"), RunConfig(n_devices=0, n_ctx=8192)

    def with_ram(gib: int) -> Answer:
        return answer_of(Estimator(model, machine=Machine(ram_bytes=gib * GIB)), config)

    enough = with_ram(32)
    assert (enough.verdict, enough.card, enough.max_context, enough.offers) == (
        "yes",
        None,
        None,
        (),
    )
    assert [with_ram(gib).verdict for gib in (4, 2)] == ["doubtful", "no"], "from the disk, or not"
    with pytest.raises(ConfigError, match="name a GPU"):
        answer_of(Estimator(model), RunConfig())


def test_the_estimator_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def counted(owner: type, name: str) -> None:
        inner = getattr(owner, name)

        def count(*args: Any, **kwargs: Any) -> Any:
            calls[f"{owner.__name__}.{name}"] += 1
            return inner(*args, **kwargs)

        monkeypatch.setattr(owner, name, count)

    for owner, name in (
        (MemoryModel, "__init__"),
        (MemoryModel, "estimate"),
        (Estimator, "predict"),
        (Estimator, "max_context"),
    ):
        counted(owner, name)
    yes = answer_of(
        Estimator(read_model(MODEL), gpu("RTX PRO 6000 Blackwell")), RunConfig(n_ctx=90_000)
    )
    assert yes.verdict == "yes"
    # the asked configuration, and the first context that does not fit; 90 and 50 % of contexts
    assert calls == {
        "MemoryModel.__init__": 1,
        "MemoryModel.estimate": 2,
        "Estimator.predict": 1,
        "Estimator.max_context": 2,
    }
    calls.clear()
    no = answer_of(Estimator(read_model(MODEL), gpu("RTX 4090")), RunConfig(n_ctx=90_000))
    smaller = next(offer for offer in no.offers if offer.kind == "quantization")
    tried = [quantization for quantization, _ in smaller_variants(read_model(MODEL))]
    assert calls["MemoryModel.__init__"] == 2 + tried.index(str(smaller.value))
    assert calls["Estimator.predict"] == 1 + len(no.offers)
    placed = calls["MemoryModel.estimate"] - calls["Estimator.predict"]
    assert placed <= 16, "of each kind a few are replayed"


def test_an_unknown_architecture_is_trusted_less() -> None:
    model = read_model("llama-3.1-8b:Q4_K_M")
    metadata = {key.replace("llama.", "novel."): value for key, value in model.metadata.items()}
    novel = replace(model, arch="novel", metadata=metadata | {"general.architecture": "novel"})
    unsure = Estimator(novel, gpu("RTX 3060"))
    assert not answer_of(unsure, RunConfig(n_ctx=4096)).memory.exact_compute
    longest = longest_context(unsure, RunConfig())
    assert longest < unsure.cautious(0.9).max_context()
    at, beyond = (
        unsure.predict(RunConfig(n_ctx=n)).fit_probability or 0 for n in (longest, longest + 256)
    )
    assert beyond < 0.9 <= at


def of_host(model: str, ram_gib: int | None, card: str = "RTX 3090", **knobs: Any) -> Answer:
    machine = Machine(ram_bytes=None if ram_gib is None else ram_gib * GIB)
    asked = Estimator(read_model(model), gpu(card), machine=machine)
    said = Said(knobs={"n_ctx": 16_384, **knobs})
    return answer_of(asked, said.config(asked.model), said=said)


@pytest.mark.parametrize(
    ("model", "ram_gib", "knobs", "verdict"),
    [
        ("qwen3-235b-a22b:Q4_K_M", None, {"n_cpu_moe": 94}, "probably"),
        ("qwen3-235b-a22b:Q4_K_M", 64, {"n_cpu_moe": 94}, "doubtful"),
        ("qwen3-235b-a22b:Q4_K_M", 64, {"n_cpu_moe": 94, "load_mode": "none"}, "no"),
        ("qwen3-235b-a22b:Q4_K_M", 192, {"n_cpu_moe": 94}, "yes"),
        ("qwen3.6-27b:Q4_K_M", None, {}, "probably"),
        ("qwen3.6-27b:Q4_K_M", 24, {}, "probably"),
        ("qwen3.6-27b:Q4_K_M", 64, {}, "yes"),
        ("llama-3.1-8b:Q4_K_M", None, {}, "yes"),
    ],
)
def test_a_yes_is_one_of_cards_and_host(
    model: str, ram_gib: int | None, knobs: dict[str, Any], verdict: str
) -> None:
    """Trials: a host that nobody asked about, and one that checkpoints filled."""
    found = of_host(model, ram_gib, **knobs)
    assert (found.card_verdict, found.verdict) == ("yes", verdict)


def test_caches_that_the_ram_holds_are_offered() -> None:
    """Trial 16: killed while llama-server saved a prompt."""
    found = of_host("qwen3.6-27b:Q4_K_M", 16)
    (offer,) = found.offers
    assert offer.kind == "host_caches"
    taken = of_host("qwen3.6-27b:Q4_K_M", 16, **offer.config.to_dict())
    assert (taken.verdict, taken.offers) == ("yes", ())


def test_an_offer_asks_no_more_of_the_host_than_it_has() -> None:
    small, large = (of_host("qwen3-30b-a3b:Q8_0", ram, n_ctx=32_768) for ram in (8, 128))
    assert {o.kind for o in large.offers} - {o.kind for o in small.offers} >= {"n_cpu_moe"}
