"""oomph: will this GGUF model fit on this card, and how fast will it be?

Predict, without loading anything:

    est = oomph.Estimator("qwen3-30b-a3b:Q4_K_M", "RTX 4090")
    print(est.predict(oomph.RunConfig(n_ctx=32_768)))
    oomph.answer("qwen3-30b-a3b:Q4_K_M", "RTX 4090", n_ctx=32_768, n_expert_used=10).verdict
    oomph.max_context("qwen3-30b-a3b", "RTX 4090")

Measure, and hold the two against each other:

    store = oomph.Store("results/here/my-sweep")
    for record in oomph.Runner(store, oomph.LocalExecutor(), model="model.gguf").run(sweep):
        print(record.label, record.outcome.label)
    est = oomph.estimator_for(next(iter(store)))
    store.to_pandas(oomph.compare(est, store))
    oomph.plot_memory_by_context(store, est).savefig("memory.pdf")
    oomph.write_report(["results/here/my-sweep"])

Other tools' results come in by `oomph.import_results`. Names are imported when first used, so that
`import oomph` loads neither numpy nor llama.cpp; `dir(oomph)` lists them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oomph.advise.context_questions import max_context
    from oomph.advise.exchange import import_results
    from oomph.advise.questions import answer
    from oomph.architectures.source import read_model
    from oomph.architectures.spec import ModelSpec
    from oomph.calibrate.comparison import compare
    from oomph.calibrate.fit import fit
    from oomph.calibrate.frontiers import find_frontiers
    from oomph.calibrate.recorded import estimator_for
    from oomph.config import RunConfig
    from oomph.errors import OomphError
    from oomph.estimate.estimator import Estimator
    from oomph.estimate.prediction import Prediction
    from oomph.gpus import GpuSpec, gpu, gpu_names
    from oomph.measure.bench import open_bench
    from oomph.measure.executors import LocalExecutor
    from oomph.measure.nvml import detect_gpus
    from oomph.measure.runner import Runner
    from oomph.measure.sweep import Sweep
    from oomph.records.frames import to_frame
    from oomph.records.schema import Record
    from oomph.records.store import Store, read_records
    from oomph.views.plots import (
        plot_claims,
        plot_cost_by_position,
        plot_energy_by_depth,
        plot_memory_by_context,
        plot_memory_by_experts,
        plot_memory_map,
        plot_memory_sources,
        plot_quality_by_context,
        plot_quality_by_experts,
        plot_scores_by_length,
        plot_speed_by_depth,
        plot_speed_by_machine,
        plot_trade_offs,
    )
    from oomph.views.plots_fit import plot_predicted_vs_measured
    from oomph.views.reporting import write_report

__version__ = "0.2.0"

_EXPORTS = {
    "Estimator": "oomph.estimate.estimator",
    "GpuSpec": "oomph.gpus",
    "LocalExecutor": "oomph.measure.executors",
    "ModelSpec": "oomph.architectures.spec",
    "OomphError": "oomph.errors",
    "Prediction": "oomph.estimate.prediction",
    "Record": "oomph.records.schema",
    "RunConfig": "oomph.config",
    "Runner": "oomph.measure.runner",
    "Store": "oomph.records.store",
    "Sweep": "oomph.measure.sweep",
    "answer": "oomph.advise.questions",
    "compare": "oomph.calibrate.comparison",
    "detect_gpus": "oomph.measure.nvml",
    "estimator_for": "oomph.calibrate.recorded",
    "find_frontiers": "oomph.calibrate.frontiers",
    "fit": "oomph.calibrate.fit",
    "gpu": "oomph.gpus",
    "gpu_names": "oomph.gpus",
    "import_results": "oomph.advise.exchange",
    "max_context": "oomph.advise.context_questions",
    "open_bench": "oomph.measure.bench",
    "plot_claims": "oomph.views.plots",
    "plot_cost_by_position": "oomph.views.plots",
    "plot_energy_by_depth": "oomph.views.plots",
    "plot_memory_by_context": "oomph.views.plots",
    "plot_memory_by_experts": "oomph.views.plots",
    "plot_memory_map": "oomph.views.plots",
    "plot_memory_sources": "oomph.views.plots",
    "plot_predicted_vs_measured": "oomph.views.plots_fit",
    "plot_quality_by_context": "oomph.views.plots",
    "plot_quality_by_experts": "oomph.views.plots",
    "plot_scores_by_length": "oomph.views.plots",
    "plot_speed_by_depth": "oomph.views.plots",
    "plot_speed_by_machine": "oomph.views.plots",
    "plot_trade_offs": "oomph.views.plots",
    "read_model": "oomph.architectures.source",
    "read_records": "oomph.records.store",
    "to_frame": "oomph.records.frames",
    "write_report": "oomph.views.reporting",
}
__all__ = [
    "Estimator",
    "GpuSpec",
    "LocalExecutor",
    "ModelSpec",
    "OomphError",
    "Prediction",
    "Record",
    "RunConfig",
    "Runner",
    "Store",
    "Sweep",
    "answer",
    "compare",
    "detect_gpus",
    "estimator_for",
    "find_frontiers",
    "fit",
    "gpu",
    "gpu_names",
    "import_results",
    "max_context",
    "open_bench",
    "plot_claims",
    "plot_cost_by_position",
    "plot_energy_by_depth",
    "plot_memory_by_context",
    "plot_memory_by_experts",
    "plot_memory_map",
    "plot_memory_sources",
    "plot_predicted_vs_measured",
    "plot_quality_by_context",
    "plot_quality_by_experts",
    "plot_scores_by_length",
    "plot_speed_by_depth",
    "plot_speed_by_machine",
    "plot_trade_offs",
    "read_model",
    "read_records",
    "to_frame",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'oomph' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted((*__all__, "__version__"))
