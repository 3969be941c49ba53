"""Of very many configurations a fit takes a sample: the same each time, whatever their order, with
all records of each, and said."""

from random import Random

import pytest
from tests.calibrate.test_fit import OLMOE, host_records

from oomph.calibrate import sample
from oomph.calibrate.fit import fit
from oomph.calibrate.sample import sampled
from oomph.estimate.estimator import Estimator
from oomph.records.schema import Record

HOST = Estimator(OLMOE)


@pytest.fixture
def records() -> list[Record]:
    """Of four configurations, two of each."""
    return host_records() + host_records(noise=0.01)


def knobs(records: list[Record]) -> set[str]:
    return {str(each.config) for each in records}


def test_a_sample_is_drawn_by_knobs_and_keeps_the_order(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_FITTED", 3)
    ((_, own),), said = sampled([(HOST, records)])
    assert len(knobs(list(own))) == 3
    assert own == [each for each in records if str(each.config) in knobs(list(own))]
    assert len(own) == 6
    assert said is not None
    assert said.startswith("fitted to 3 of 4 configurations, 6 records, drawn by")
    shuffled = list(records)
    Random(3).shuffle(shuffled)
    ((_, again),), _ = sampled([(HOST, shuffled)])
    assert knobs(list(again)) == knobs(list(own))


def test_models_share_one_sample_and_few_configurations_are_all_taken(
    records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [(HOST, records[::2]), (HOST, records[1::2])]
    monkeypatch.setattr(sample, "MOST_FITTED", 4)
    assert sampled(parts) == (parts, None)
    monkeypatch.setattr(sample, "MOST_FITTED", 1)
    kept, _ = sampled(parts)
    assert len(kept) == 1, "a model of which nothing is drawn takes no part"
    assert len(knobs(list(kept[0][1]))) == 1


def test_a_fit_of_a_sample_says_so(records: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(HOST, records)
    monkeypatch.setattr(sample, "MOST_FITTED", 3)
    drawn = fit(HOST, records)
    assert (whole.n_records, drawn.n_records) == (8, 6)
    assert any(note.startswith("fitted to ") for note in drawn.health.notes)
    assert not any(note.startswith("fitted to ") for note in whole.health.notes)
