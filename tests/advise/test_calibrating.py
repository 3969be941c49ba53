"""What ran on a backend that oomph does not estimate, or was set to what it does not know, teaches
nothing: one definition, and each room that learns or cites goes by it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.advise.citations import keep_measured
from oomph.advise.evidence import evidence, is_of
from oomph.advise.speeds import measured_rates
from oomph.calibrate.comparison import compare, record_config
from oomph.calibrate.fit import fit
from oomph.calibrate.recorded import estimator_for, fit_records
from oomph.errors import FitError
from oomph.records.schema import ESTIMATED_BACKENDS, Record
from oomph.records.store import read_records
from oomph.records.training_rows import training_rows
from oomph.views.reporting import report_on

Spoil = Callable[[Record], Record]


def _on(backend: str) -> Spoil:
    def spoil(record: Record) -> Record:
        environment = record.environment.model_copy(update={"backend": backend})
        return record.model_copy(update={"environment": environment})

    return spoil


def _set_to_more(record: Record) -> Record:
    conditions = record.conditions.model_copy(update={"unread": {"rtr": "1"}})
    return record.model_copy(update={"conditions": conditions})


SPOILT = [_on("unknown"), _on("vulkan"), _on("rocm"), _on("rpc"), _set_to_more]
IDS = ["unknown", "vulkan", "rocm", "rpc", "unread"]


@pytest.fixture(scope="module")
def measured(repository: Path) -> list[Record]:
    """What one real card was seen to do."""
    return read_records([repository / "results" / "h200" / "quiet-ladder"])


def test_what_a_known_card_did_speaks(measured: list[Record], tmp_path: Path) -> None:
    estimator = estimator_for(measured[0])
    assert all(record.is_calibrating for record in measured)
    assert compare(estimator, measured)
    assert list(training_rows(measured))
    assert any(is_of(record, estimator) for record in measured)
    assert keep_measured(measured, tmp_path)


@pytest.mark.parametrize("spoil", SPOILT, ids=IDS)
def test_what_ran_on_anything_else_teaches_nothing(
    spoil: Spoil, measured: list[Record], tmp_path: Path
) -> None:
    estimator, spoilt = estimator_for(measured[0]), [spoil(record) for record in measured]
    config = record_config(measured[0])
    assert not any(record.is_calibrating for record in spoilt)
    assert compare(estimator, spoilt) == []
    assert list(training_rows(spoilt)) == []
    assert evidence(estimator, config, spoilt) == ()
    assert list(measured_rates(estimator, config, spoilt)) == []
    assert keep_measured([spoil(record) for record in measured], tmp_path) == []
    with pytest.raises(FitError, match=r"no record can calibrate: of \d+ records? (its|oomph)"):
        fit(estimator, spoilt)
    with pytest.raises(FitError, match="measure on a CPU or by CUDA"):
        fit_records(spoilt)


def test_a_mixture_calibrates_by_what_is_known(measured: list[Record]) -> None:
    estimator = estimator_for(measured[0])
    mixed = [*measured, *map(_on("vulkan"), measured), *map(_set_to_more, measured)]
    assert fit(estimator, mixed).n_records == fit(estimator, measured).n_records


def test_a_page_shows_what_ran_elsewhere_and_predicts_nothing_of_it(
    measured: list[Record],
) -> None:
    report = report_on([_on("vulkan")(record) for record in measured])
    assert len(report.chapters) == 1
    assert [each for each in report.what_ifs if each] == []
    assert "its backend is vulkan" in report.remarks[0]


def test_the_estimated_backends_are_those_that_a_sweep_writes() -> None:
    assert {"cpu", "cuda", "phantom"} == ESTIMATED_BACKENDS
