"""Adapters that ride along: where their weights lie, what they add to the graph."""

import pytest

from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.estimate.adapters import Adapters
from oomph.estimate.estimator import Estimator
from oomph.models.lora import ATTENTION, FEED_FORWARD, lora_for
from oomph.units import MIB

CONFIG = RunConfig(n_ctx=8192, n_outputs_max=1, swa_full=False)
EVERYWHERE = (*ATTENTION, *FEED_FORWARD)
LLAMA = read_model("llama-3.1-8b:Q4_K_M")


def adapted(rank: int, targets: tuple[str, ...] = ATTENTION) -> Estimator:
    adapter = lora_for(LLAMA, rank, targets)
    return Estimator(LLAMA, "RTX 3090", riders=[Adapters([adapter], LLAMA)])


def test_weights_lie_beside_the_tensors_that_they_change() -> None:
    whole = adapted(16).memory(CONFIG).contexts["lora"]
    assert {name: part.weights_bytes / MIB for name, part in whole.items()} == {"CUDA0": 26.0}
    parted = adapted(16).memory(CONFIG.with_(n_gpu_layers=20)).contexts["lora"]
    assert {name: part.weights_bytes / MIB for name, part in parted.items()} == {
        "CPU": 10.5625,
        "CUDA0": 15.4375,
    }


def test_graph_with_adapters_is_another() -> None:
    config = CONFIG.with_(n_gpu_layers=20)
    alone = Estimator(LLAMA, "RTX 3090").memory(config).devices["CUDA0"].compute_bytes
    target = adapted(32, EVERYWHERE).memory(config).contexts["target"]["CUDA0"].compute_bytes
    assert round(alone / MIB, 2) == 135.50
    assert target < alone, "as on the phantom card: the allocator packs it otherwise"


def test_changed_riders_change_the_graph() -> None:
    config, alone = CONFIG.with_(n_gpu_layers=20), Estimator(LLAMA, "RTX 3090")
    adapters = adapted(32, EVERYWHERE)
    other = alone.changed(riders=adapters.riders)
    assert other.memory(config).devices == adapters.memory(config).devices
    assert other.changed(riders=()).memory(config).devices == alone.memory(config).devices


@pytest.mark.parametrize(
    ("model", "targets"),
    [("deepseek-v2-lite:Q4_K_M", ("attn_q",)), ("gemma-3n-e2b:Q8_0", ("ffn_up",))],
)
def test_architectures_that_bypass_adapters_are_not_called_exact(
    model: str, targets: tuple[str, ...]
) -> None:
    spec = read_model(model)
    rider = Adapters([lora_for(spec, 8, targets)], spec)
    assert not rider.is_exact
    memory = Estimator(spec, "RTX 3090", riders=[rider]).memory(CONFIG)
    assert not memory.exact_compute
    assert any("not exact" in note for note in memory.warnings)
