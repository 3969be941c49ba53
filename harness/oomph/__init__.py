"""oomph: will this GGUF model fit on this card, and how fast will it be?

Names are imported when first used, so that `import oomph` loads neither numpy nor llama.cpp.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "Estimator": "oomph.estimate.estimator",
    "GpuSpec": "oomph.gpus",
    "LocalExecutor": "oomph.measure.executors",
    "ModelSpec": "oomph.architectures.spec",
    "OomphError": "oomph.errors",
    "RunConfig": "oomph.config",
    "Runner": "oomph.measure.runner",
    "Store": "oomph.records.store",
    "Sweep": "oomph.measure.sweep",
    "compare": "oomph.calibrate.comparison",
    "detect_gpus": "oomph.measure.nvml",
    "fit": "oomph.calibrate.fit",
    "gpu": "oomph.gpus",
    "gpu_names": "oomph.gpus",
    "open_bench": "oomph.measure.bench",
    "plot_predicted_vs_measured": "oomph.views.plots_fit",
    "read_model": "oomph.architectures.source",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'oomph' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
