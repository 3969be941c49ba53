"""A card's first day, read back from its folder: no card is needed to judge it again."""

from functools import cache
from pathlib import Path
from typing import Any

from oomph.analysis.first_card.expectations import Foreseen, described_card
from oomph.analysis.first_card.predictions import asked_protocol
from oomph.analysis.first_card.verdict import DayVerdict, EstimatorOf, verdict
from oomph.calibrate.recorded import no_address
from oomph.errors import StoreError
from oomph.estimate.estimator import Estimator
from oomph.frozen import frozen
from oomph.gpus import GpuSpec
from oomph.measure.first_card.journal import Journal
from oomph.measure.first_card.models import ProtocolModels
from oomph.records.schema import Environment, Record
from oomph.records.store import Store


@frozen
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
    foreseen = Foreseen(_card(environment, journal), environment.backend)
    models = ProtocolModels(protocol.size, computes=False)
    named = [no_address(each) for each in protocol.models.values()]
    references = {models.resolve(each)[0].identity.path: each for each in named}

    @cache
    def estimator(path: str) -> Estimator:
        return foreseen.estimator(models.resolve(references.get(path, no_address(path)))[0].spec)

    def estimator_of(record: Record) -> Estimator:
        return estimator(record.model.path)

    where = environment.gpus[0]["name"] if environment.gpus else environment.cpu
    return Day(
        verdict=verdict(folder, protocol, estimator_of), estimator_of=estimator_of, where=where
    )


def _card(environment: Environment, journal: Journal) -> GpuSpec | None:
    """The card that was measured, None for the processor."""
    if not environment.gpus:
        return None
    card = environment.gpus[0]

    def said() -> dict[str, Any] | None:
        facts = journal.card_facts()
        return facts["cuda"] if facts else None

    return described_card(card["name"], card["compute_capability"], said)
