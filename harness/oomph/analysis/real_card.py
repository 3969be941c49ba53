"""What a phantom's frontier becomes on a real card, beside a process's CUDA context."""

from collections.abc import Mapping, Sequence

from oomph.advise.memory_map import BEYOND, as_measured
from oomph.calibrate.comparison import record_config
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.frozen import frozen
from oomph.records.grouping import Setting
from oomph.records.summary import RecordSummary


@frozen
class RealCard:
    """By setting and number of experts the largest context that is predicted to fit on a real card
    of the phantom's kind, and the bytes of the CUDA contexts that are in it."""

    n_ctx: Mapping[tuple[Setting, int | None], int]
    context_bytes: int


def on_real_card(estimator: Estimator, summaries: Sequence[RecordSummary]) -> RealCard:
    """Of records of a phantom's frontiers: what the estimator says of each of their settings."""
    record = summaries[0].record
    phantom = as_measured(estimator, record)
    real = phantom.changed(coefficients=estimator.coefficients or default_coefficients())
    most = max(summary.n_ctx for summary in summaries)
    configs = {
        (each.setting, each.n_expert_used): record_config(each.record)
        for each in summaries
        if each.succeeded
    }
    n_ctx, context_bytes = {}, 0
    for key, config in configs.items():
        knobs = {knob: value for knob, value in config.to_dict().items() if knob != "n_ctx"}
        n_ctx[key] = real.max_context(limit=BEYOND * most, **knobs)
        both = (each.memory(config).total_vram_bytes for each in (real, phantom))
        context_bytes = max(context_bytes, next(both) - next(both))
    return RealCard(n_ctx=n_ctx, context_bytes=context_bytes)
