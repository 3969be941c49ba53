"""A card's first day, read back from its folder: no card is needed to judge it again."""

from dataclasses import dataclass
from pathlib import Path

from oomph.analysis.first_card.expectations import Foreseen
from oomph.analysis.first_card.predictions import asked_protocol
from oomph.analysis.first_card.verdict import DayVerdict, EstimatorOf, verdict
from oomph.errors import StoreError, UnknownNameError
from oomph.estimate.estimator import Estimator
from oomph.gpus import GpuSpec, gpu
from oomph.measure.first_card.journal import Journal
from oomph.measure.first_card.models import ProtocolModels
from oomph.records.schema import Environment, Record
from oomph.records.store import Store
from oomph.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A folder's verdict with the estimators that it was made with, those of before the card was
    seen; `where` is the card or the processor."""

    verdict: DayVerdict
    estimator_of: EstimatorOf
    where: str


def is_day(folder: Path) -> bool:
    """Whether the folder holds a first day rather than a sweep."""
    return Journal(folder).path.is_file()


def read_day(folder: Path) -> Day:
    """The day in `folder`. StoreError where nothing was measured in it."""
    first = next(iter(Store(folder).records()), None)
    if first is None:
        raise StoreError(f"{folder} has no records: nothing was measured; give it more --minutes")
    journal, environment = Journal(folder), first.environment
    protocol = asked_protocol(folder)
    facts = journal.entries().get("facts")
    foreseen = Foreseen(_card(environment, facts.facts if facts else None), environment.backend)
    models = ProtocolModels(protocol.size, computes=False)
    references = {models.resolve(each)[0].identity.path: each for each in protocol.models.values()}

    def estimator_of(record: Record) -> Estimator:
        reference = references.get(record.model.path, record.model.path)
        return foreseen.estimator(models.resolve(reference)[0].spec)

    where = environment.gpus[0]["name"] if environment.gpus else environment.cpu
    return Day(
        verdict=verdict(folder, protocol, estimator_of), estimator_of=estimator_of, where=where
    )


def _card(environment: Environment, facts: dict[str, object] | None) -> GpuSpec | None:
    """The card by the catalogue; one that it lacks by what its driver said."""
    if not environment.gpus:
        return None
    card = environment.gpus[0]
    try:
        return gpu(card["name"])
    except UnknownNameError:
        said = facts["cuda"] if facts else None
        if not isinstance(said, dict):
            raise
        memory, capability = said["total_bytes"] // MIB, card["compute_capability"]
        return gpu(f"{card['name']}:{memory}:{capability}:{said['sm_count']}")
