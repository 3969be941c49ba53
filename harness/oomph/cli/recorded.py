"""From a record to the estimator of what it measured."""

from typing import TYPE_CHECKING

from oomph.errors import ModelFileError, UnknownNameError

if TYPE_CHECKING:
    from oomph.estimate.estimator import Estimator
    from oomph.records.schema import Record


def estimator_of(
    record: "Record", *, model: str | None = None, gpu: str | None = None, needs_card: bool = False
) -> "Estimator":
    """For the model and the first card that `record` names, unless others are given.

    OomphError where the model is not there or is another file. A card that no catalogue knows leaves an estimator of
    memory alone; with `needs_card` it is an UnknownNameError.
    """
    from oomph.estimate.estimator import Estimator
    from oomph.facts.gpus import gpu as find_gpu
    from oomph.facts.source import read_model
    from oomph.measure.plan import DEMO
    from oomph.models.demo import demo_model

    reference = model or record.model.path
    spec = read_model(demo_model() if reference == DEMO else reference)
    if spec.file_bytes not in (None, record.model.file_bytes):
        raise ModelFileError(
            f"{reference} has {spec.file_bytes:,} bytes and the measured file had {record.model.file_bytes:,};"
            " name the measured one with --model"
        )
    cards = record.environment.gpus
    name = gpu or (str(cards[0].get("name")) if cards else None)
    try:
        card = find_gpu(name) if name else None
    except UnknownNameError:
        if gpu or needs_card:
            raise
        card = None
    return Estimator(spec, card)
