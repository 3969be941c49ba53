"""The estimator: one model, perhaps one card, and what any configuration takes."""

from collections.abc import Iterable

from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import Prediction
from oomph.facts.config import RunConfig
from oomph.facts.gpus import GpuSpec
from oomph.facts.modelspec import ModelSpec


class Estimator:
    """Predicts for one model; `gpu_memory_bytes` (of each card) stands in for, or overrides, the card's own."""

    def __init__(
        self, model: ModelSpec, gpu: GpuSpec | None = None, *, gpu_memory_bytes: int | None = None,
        coefficients: object = None,
    ) -> None:  # fmt: skip
        self.model, self.gpu, self.coefficients = model, gpu, coefficients
        self.gpu_memory_bytes = gpu_memory_bytes or (gpu.memory_bytes if gpu else None)
        self._memory = MemoryModel(model)

    def predict(self, config: RunConfig) -> Prediction:
        """Memory, whether it fits, and speed under `config`."""
        memory = self._memory.estimate(config)
        return Prediction(model=self.model.name, config=config, memory=memory, warnings=memory.warnings)

    def predict_many(self, configs: Iterable[RunConfig]) -> list[Prediction]:
        """`predict` for each configuration."""
        return [self.predict(config) for config in configs]
