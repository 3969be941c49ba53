"""How the time of an answer grows: with layers, experts, cards, contexts and configurations.

Each row is a chain of doublings of one number, everything else as it was, in one process: the
processor's time of a cold answer (nothing kept from another), the best of several, and by how much
the last doubling multiplied it. Linear is 2 or less. `thousand` asks 1,000 configurations of one
model, of which the first of each kind are replayed, and compares each with a replay of its own.

    python bench/growth.py
    python bench/growth.py thousand qwen3-30b-a3b:Q4_K_M deepseek-v3.2:Q4_K_M
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import OomphError
from oomph.estimate.estimator import Estimator

TRIES = 3
MODEL, QUANT, CARD = "qwen3-30b-a3b", "Q4_K_M", "H200"
CONTEXTS = [2048 * (1 + i) for i in range(20)]
KV_TYPES = ("f16", "bf16", "q8_0", "q5_1", "q4_0")
MICRO_BATCHES = (512, 1024)
N_EXPERTS = 5


@dataclass(frozen=True, slots=True)
class Chain:
    """One number doubled: what it is called, its values, and the question that each makes."""

    name: str
    values: tuple[int, ...]
    ask: Callable[[int], tuple[ModelSpec, list[RunConfig]]]


def _model(**changes: int) -> ModelSpec:
    return catalogue_model(MODEL, QUANT, changes=changes, called="grown")


def _one(model: ModelSpec, **knobs: object) -> tuple[ModelSpec, list[RunConfig]]:
    return model, [RunConfig(n_ctx=8192).with_(**knobs)]


CHAINS = (
    Chain("layers, all alike", (24, 48, 96, 192), lambda n: _one(_model(block_count=n))),
    Chain(
        "layers, half on the card",
        (24, 48, 96, 192),
        lambda n: _one(_model(block_count=n), n_gpu_layers=n // 2),
    ),
    Chain("experts", (64, 128, 256, 512), lambda n: _one(_model(expert_count=n))),
    Chain("experts used", (2, 4, 8, 16), lambda n: _one(_model(), n_expert_used=n)),
    Chain("cards", (1, 2, 4, 8), lambda n: _one(_model(), n_devices=n)),
    Chain("sequences", (1, 2, 4, 8), lambda n: _one(_model(), n_seq_max=n)),
    Chain("context", (8192, 65_536, 524_288, 1_048_576), lambda n: _one(_model(), n_ctx=n)),
    Chain(
        "contexts asked",
        (32, 64, 128, 256),
        lambda n: (_model(), [RunConfig(n_ctx=256 * (8 + i)) for i in range(n)]),
    ),
    Chain(
        "configurations asked",
        (125, 250, 500, 1000),
        lambda n: (_model(), list(configurations(_model()))[:: 1000 // n]),
    ),
)


def configurations(model: ModelSpec) -> Iterator[RunConfig]:
    """1,000 configurations of a mixture of experts, 200 of a dense model."""
    most = model.n_expert and model.integer("expert_used_count", 8)
    used = [None] if not most else [max(1, most - 2 + i) for i in range(N_EXPERTS)]
    for n_used, kind, n_ubatch, n_ctx in product(used, KV_TYPES, MICRO_BATCHES, CONTEXTS):
        yield RunConfig(
            n_ctx=n_ctx, n_ubatch=n_ubatch, type_k=kind, type_v=kind, n_expert_used=n_used
        )


def seconds(model: ModelSpec, configs: list[RunConfig]) -> float:
    """The processor's time of the answers to these, the best of several tries."""
    best = float("inf")
    for _ in range(TRIES):
        start = time.process_time()
        estimator = Estimator(model, CARD)
        for config in configs:
            estimator.predict(config, longest=False)
        best = min(best, time.process_time() - start)
    return best


def grow() -> None:
    """Print the chains as a table."""
    print("| number | values | ms | last doubling |\n| --- | --- | --- | --- |")
    for chain in CHAINS:
        took = [1000 * seconds(*chain.ask(n)) for n in chain.values]
        values, times = (", ".join(map(str, x)) for x in (chain.values, [f"{t:.0f}" for t in took]))
        print(f"| {chain.name} | {values} | {times} | {took[-1] / took[-2]:.2f} x |", flush=True)


def thousand(names: list[str]) -> None:
    """Print how long many configurations of each model take, and whether all are as alone."""
    print("| model | configurations | s | ms each | unlike a replay of its own |")
    print("| --- | --- | --- | --- | --- |")
    for name in names:
        model = read_model(name)
        configs = list(configurations(model))
        took = seconds(model, configs)
        together, unlike = Estimator(model, CARD), 0
        for config in configs:
            unlike += _memory(together, config) != _memory(Estimator(model, CARD), config)
        each = f"{took:.2f} | {1000 * took / len(configs):.2f}"
        print(f"| {name} | {len(configs)} | {each} | {unlike} |", flush=True)


def _memory(estimator: Estimator, config: RunConfig) -> object:
    try:
        return estimator.memory(config)
    except OomphError as error:
        return str(error)


if __name__ == "__main__":
    if sys.argv[1:2] == ["thousand"]:
        thousand(sys.argv[2:] or [f"{MODEL}:{QUANT}"])
    else:
        grow()
