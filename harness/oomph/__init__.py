"""oomph: will this GGUF model fit on this card, and how fast will it be?

Names are imported when first used, so that `import oomph` loads neither numpy nor llama.cpp.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "OomphError": "oomph.errors",
    "ModelSpec": "oomph.facts.modelspec",
    "RunConfig": "oomph.facts.config",
    "GpuSpec": "oomph.facts.gpus",
    "Estimator": "oomph.estimate.estimator",
    "gpu": "oomph.facts.gpus",
    "gpu_names": "oomph.facts.gpus",
    "read_model": "oomph.facts.source",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'oomph' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
