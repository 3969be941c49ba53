"""Launches of published shapes on cards of the catalogue, by name."""

from collections.abc import Callable
from typing import Any

import pytest

from oomph.advise.launch_plan import Launch, choose
from oomph.architectures.catalogue import catalogue_model
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu

Make = Callable[..., Launch]


@pytest.fixture(scope="session")
def make_launch() -> Make:
    def make(
        model: str,
        card: str | None = None,
        *,
        profile: str = "long-context",
        path: str = "/models/model.gguf",
        **knobs: Any,
    ) -> Launch:
        name, quantization = model.split(":")
        estimator = Estimator(catalogue_model(name, quantization), gpu(card) if card else None)
        return choose(estimator, knobs, model_path=path, profile=profile)

    return make


@pytest.fixture(scope="session")
def launches(make_launch: Make) -> dict[str, Launch]:
    """One dense model, one mixture that needs YaRN, and one of which a part stays on the host."""
    return {
        "dense": make_launch(
            "llama-3.1-8b:Q8_0", "RTX 4090", n_ctx=32_768, path="/models/Llama 3.1 8B.gguf"
        ),
        "mixture-yarn": make_launch(
            "qwen3-30b-a3b:Q4_K_M",
            "RTX PRO 6000 Blackwell",
            n_ctx=90_000,
            n_expert_used=10,
            n_ubatch=512,
        ),
        "partial-offload": make_launch(
            "qwen3-30b-a3b:Q8_0",
            "RTX 4090",
            n_ctx=32_768,
            n_ubatch=512,
            profile="quality",
            n_threads=16,
        ),
    }
