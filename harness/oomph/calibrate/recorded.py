"""From records to the estimators of what they measured, and to a calibration of these."""

from collections.abc import Sequence

from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.fit import fit_models, records_of
from oomph.calibrate.result import FitResult
from oomph.errors import ModelFileError, UnknownNameError
from oomph.estimate.estimator import Estimator
from oomph.foreign_text import without_password
from oomph.gpus import gpu as find_gpu
from oomph.measure.plan import DEMO
from oomph.models.demo import demo_model
from oomph.records.grouping import by_model
from oomph.records.schema import Record
from oomph.records.tools.llama_bench import is_same_size


def estimator_for(
    record: Record, *, model: str | None = None, gpu: str | None = None, needs_card: bool = False
) -> Estimator:
    """For the model and the first card that `record` names, unless others are given.

    OomphError where the model is not there or is another file. A card that no catalogue knows
    leaves an estimator of memory alone; with `needs_card` it is an UnknownNameError.
    """
    reference = model or no_address(record.model.path)
    spec = read_model(demo_model() if reference == DEMO else reference)
    _check_same_file(reference, spec, record)
    cards = record.environment.gpus
    name = gpu or (str(cards[0].get("name")) if cards else None)
    try:
        card = find_gpu(name) if name else None
    except UnknownNameError:
        if gpu or needs_card:
            raise
        card = None
    return Estimator(spec, card)


def no_address(reference: str) -> str:
    """A model's name or path out of a results folder, which may be anybody's: ModelFileError for
    an address, which is asked only where the user names it."""
    if reference.startswith(("http://", "https://")):
        raise ModelFileError(
            f"{without_password(reference)} is an address that a record names, and is not asked; "
            "name it with --model"
        )
    return reference


def fit_records(
    records: Sequence[Record],
    *,
    model: str | None = None,
    gpu: str | None = None,
    machine: str | None = None,
    build: str | None = None,
) -> tuple[FitResult, list[Record]]:
    """A calibration of the records of one machine and llama.cpp commit, with those that it is of.

    OomphError for a model or card that is not there, and where the records do not hold enough.
    """
    chosen = records_of(records, machine=machine, build=build)
    groups = by_model(chosen)
    pairs = [
        (estimator_for(group[0], model=model, gpu=gpu, needs_card=True), group) for group in groups
    ]
    return fit_models(pairs), list(chosen)


def _check_same_file(reference: str, spec: ModelSpec, record: Record) -> None:
    """ModelFileError where the model is not the measured one; an imported row knows its tensors'
    size at best."""
    own, measured = spec.file_bytes, record.model.file_bytes
    if not measured:
        own, measured = spec.n_bytes, record.model.tensor_bytes or 0
        is_same = not measured or is_same_size(own, measured)
    else:
        is_same = own in (None, measured)
    if not is_same:
        raise ModelFileError(
            f"{reference} has {own:,} bytes and the measured model had {measured:,}; name the "
            "measured one with --model"
        )
