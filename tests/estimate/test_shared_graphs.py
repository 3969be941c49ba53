"""What one quantization taught holds for another: every byte is that of a replay of its own."""

import random

import pytest

from oomph.architectures.catalogue import catalogue_entries, catalogue_model
from oomph.cards import numbered, read_cards
from oomph.config import RunConfig
from oomph.estimate import replays
from oomph.estimate.estimator import Estimator
from oomph.estimate.memory import MemoryModel

MODELS = (
    ("qwen3-30b-a3b", ("Q4_K_M", "F16")),
    ("gemma-3-4b", ("Q4_K_M", "BF16")),
    ("gpt-oss-20b", ("MXFP4", "F16")),
    ("qwen3.5-4b", ("Q8_0", "Q4_K_M")),
    ("deepseek-v2-lite", ("F16", "Q4_K_M")),
    ("gemma-3n-e2b", ("Q8_0", "Q4_K_M")),
    ("bge-m3", ("F16", "Q4_K_M")),
)
"""Experts, windows, sinks, states, latent attention, inputs of each layer, and no cache."""
BIG, SMALL = read_cards("RTX 4090,RTX 3060")
CARDS = {0: (), 1: (BIG,), 2: (BIG, SMALL)}


def _settings(seed: str) -> list[tuple[int, RunConfig]]:
    chance = random.Random(seed)
    found = []
    for _ in range(3):
        n_devices = chance.choice((0, 1, 1, 2))
        config = RunConfig(
            n_ctx=chance.choice((2048, 8192, 40_960)),
            n_ubatch=chance.choice((128, 512)),
            n_seq_max=chance.choice((1, 2)),
            n_devices=n_devices,
            n_gpu_layers=chance.choice((-1, -1, -1, 0, 9)),
            n_cpu_moe=chance.choice((0, 0, 3)),
            offload_kqv=chance.random() < 0.8,
            flash_attn=chance.choice(("on", "off", "auto")),
        )
        found.append((n_devices, config))
    return found


@pytest.mark.parametrize(("name", "quantizations"), MODELS)
def test_what_is_shared_is_what_is_replayed(name: str, quantizations: tuple[str, ...]) -> None:
    settings = _settings(name)
    variants = [catalogue_model(name, each) for each in quantizations]
    for n_devices, cards in CARDS.items():
        first = Estimator(variants[0], numbered(cards))
        for model in variants:
            shared, fresh = first.changed(model=model), Estimator(model, numbered(cards))
            for n, config in settings:
                if n == n_devices:
                    assert shared.memory(config) == fresh.memory(config), config


@pytest.mark.parametrize(("name", "quantizations"), MODELS)
def test_many_questions_are_each_answered_as_if_it_were_the_only_one(
    name: str, quantizations: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the whole graph, every layer composed, of a model that was asked nothing before."""
    chance, model = random.Random(name), catalogue_model(name, quantizations[0])
    together, kinds = MemoryModel(model), ("f16", "bf16", "q8_0", "q4_0")
    used = range(1, 2 * model.n_expert_used) if model.is_moe else (None,)
    shapes = [
        {
            "n_ubatch": chance.choice((64, 512)),
            "type_k": kind,
            "type_v": kind,
            "n_expert_used": chance.choice(used),
            "n_seq_max": chance.choice((1, 1, 3)),
        }
        for kind in chance.sample(kinds, 2)
    ]
    asked = [RunConfig(n_ctx=256 * chance.randint(1, 400)).with_(**x) for x in shapes * 6]
    found = [together.compute(together.setup(config)) for config in asked]
    monkeypatch.setattr(replays, "KEPT", (10_000,))
    for config, buffers in zip(asked, found, strict=True):
        alone = MemoryModel(model)
        assert alone.compute(alone.setup(config)) == buffers, config


@pytest.mark.parametrize(
    ("name", "answers"),
    [("qwen3-30b-a3b", {True}), ("granite-4.0-h-tiny", {True}), ("minicpm3-4b", {False, True})],
)
def test_attention_fuses_where_a_graph_of_that_placement_alone_says(
    name: str, answers: set[bool]
) -> None:
    """With `auto`: neighbours of other placements stand for those of this one. No card fuses heads
    as wide as MiniCPM3's."""
    chance, model = random.Random(name), catalogue_model(name, "Q4_K_M")
    together, cards = MemoryModel(model, cards=numbered((BIG, SMALL))), (0, 1, 2)
    found = []
    for _ in range(24):
        config = RunConfig(
            n_devices=chance.choice(cards),
            n_gpu_layers=chance.choice((-1, 0, *range(model.n_layer))),
            n_cpu_moe=chance.choice((0, chance.randrange(model.n_layer))),
            offload_kqv=chance.random() < 0.8,
        )
        fuses = together.setup(config).cache.flash_attn
        found.append(fuses)
        alone = MemoryModel(model, cards=numbered((BIG, SMALL)))
        assert alone.setup(config).cache.flash_attn == fuses, config
    assert {*found} == answers


@pytest.mark.parametrize("name", {entry.arch: entry.name for entry in catalogue_entries()}.values())
def test_two_contexts_tell_of_all_others(name: str) -> None:
    chance, model = random.Random(name), catalogue_model(name, "Q4_K_M")
    together, kind = MemoryModel(model), chance.choice(("f16", "q8_0"))
    knobs = {"n_gpu_layers": chance.choice((-1, model.n_layer // 2)), "type_k": kind}
    contexts = [256 * n for n in chance.sample(range(1, 600), 4)]
    configs = [RunConfig(n_ctx=n_ctx).with_(**knobs) for n_ctx in contexts]
    found = [together.compute(together.setup(config)) for config in configs]
    alone = MemoryModel(model)
    assert found[-1] == alone.compute(alone.setup(configs[-1]))


def test_a_model_of_other_shapes_shares_nothing() -> None:
    config = RunConfig(n_ctx=4096)
    first = Estimator(catalogue_model("qwen3-8b", "Q8_0"), numbered((BIG,)))
    first.memory(config)
    other = catalogue_model("qwen3-14b", "Q8_0")
    found = first.changed(model=other).memory(config)
    assert found == Estimator(other, numbered((BIG,))).memory(config)


@pytest.mark.parametrize("name", [*(name for name, _ in MODELS), "granite-4.0-h-tiny"])
def test_what_one_number_of_layers_taught_holds_for_another(name: str) -> None:
    model = catalogue_model(name, "Q4_K_M")
    shared = Estimator(model, numbered(CARDS[2]))
    chance = random.Random(name)
    for flash_attn in ("auto", "off"):
        base = RunConfig(n_ctx=8192, n_devices=2, flash_attn=flash_attn)
        for n_gpu_layers in sorted(chance.sample(range(model.n_layer + 2), 8)):
            config = base.with_(
                n_gpu_layers=n_gpu_layers,
                tensor_split=(chance.randint(1, 3), chance.randint(1, 3)),
                n_cpu_moe=chance.choice((0, 0, 2)),
            )
            alone = Estimator(model, numbered(CARDS[2]))
            assert shared.setup(config).cache == alone.setup(config).cache, config
            assert shared.memory(config) == alone.memory(config), config
