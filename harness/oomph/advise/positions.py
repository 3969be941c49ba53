"""How far a model's positions let a prediction's largest context go."""

from dataclasses import replace

from oomph.architectures.rope import positions
from oomph.architectures.spec import ModelSpec
from oomph.config import padded_context
from oomph.estimate.prediction import Prediction


def within_positions(prediction: Prediction, model: ModelSpec) -> Prediction:
    """The prediction with its largest context cut to what the model's positions allow, or to what
    was asked."""
    if prediction.max_context is None:
        return prediction
    furthest = max(positions(model).furthest, padded_context(prediction.config.n_ctx))
    return replace(prediction, max_context=min(prediction.max_context, furthest))
