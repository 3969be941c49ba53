"""Predicted against allocated: the estimate and llama.cpp's real CUDA backend on a phantom card."""

from pathlib import Path

import pytest

from oomph.architectures.source import read_model
from oomph.calibrate.expected_memory import Expectation
from oomph.config import RunConfig
from oomph.estimate.prediction import is_card
from oomph.gpus import gpu
from oomph.measure.bench import open_bench
from oomph.measure.frontier import FrontierSearch
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep, SweepFile
from oomph.records.store import Store
from oomph.units import MIB

pytestmark = [pytest.mark.phantom, pytest.mark.usefixtures("cuda_backend")]

CARD = "RTX PRO 6000 Blackwell"


def test_a_grid_of_configurations_takes_what_was_predicted(qwen3_30b: Path, tmp_path: Path) -> None:
    sweep = Sweep(
        file=SweepFile(
            name="grid",
            model=str(qwen3_30b),
            config={"n_ubatch": 512},
            axes={
                "n_expert_used": [8, 10, 16],
                "flash_attn": ["on", "off"],
                "n_ctx": [4096, 32768],
            },
            measure={"n_prompt": 512, "n_gen": 2, "depths": [0]},
        )
    )
    expected = Expectation(read_model(qwen3_30b), [gpu(CARD)], backend="phantom")
    with open_bench(CARD) as bench:
        records = list(
            Runner(Store(tmp_path), bench.executor, environment=bench.environment).run(sweep)
        )
    assert [record.outcome.label for record in records] == ["ok"] * 12
    for record in records:
        memory = expected.memory(RunConfig.from_mapping(record.config))
        printed = {
            "weights_bytes": record.buffers.model_mib,
            "kv_cache_bytes": record.buffers.kv_cache_mib,
            "compute_bytes": record.buffers.compute_mib,
        }
        for device, predicted in memory.devices.items():
            if is_card(device):
                for component, by_device in printed.items():
                    assert sum(by_device[device]) == pytest.approx(
                        getattr(predicted, component) / MIB, abs=0.01
                    )


@pytest.mark.parametrize(
    ("card", "n_ctx"), [("mine:24564:8.9:128", 61_696), ("RTX 5090", 131_072), (CARD, 131_072)]
)
def test_the_frontier_of_qwen3_30b(qwen3_30b: Path, tmp_path: Path, card: str, n_ctx: int) -> None:
    with open_bench(card) as bench:
        assert bench.phantom is not None
        runner = Runner(
            Store(tmp_path), bench.executor, model=qwen3_30b, environment=bench.environment
        )
        expected = Expectation(read_model(qwen3_30b), bench.phantom.specs, backend="phantom")
        slack = expected.slack([each["usable_bytes"] for each in bench.environment.gpus])
        config = RunConfig(n_expert_used=10, flash_attn="on", n_ubatch=2048)
        found = FrontierSearch(runner, model=str(qwen3_30b)).find(config, slack=slack)
    assert found.n_ctx == n_ctx
    assert found.reached_limit == (n_ctx == 131_072)
    assert found.n_probes <= 5
