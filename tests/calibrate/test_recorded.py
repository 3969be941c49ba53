"""A record's model is found by what the record names, which may be anybody's."""

from pathlib import Path

import pytest

from oomph.calibrate.recorded import estimator_for
from oomph.errors import ModelFileError
from oomph.records.store import Store


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.gguf", "https://u:secret@host/x"])
def test_an_address_in_a_record_is_not_asked(repository: Path, address: str) -> None:
    record = next(iter(Store(repository / "results/xeon-2-cores/demo").records()))
    named = record.model_copy(update={"model": record.model.model_copy(update={"path": address})})
    with pytest.raises(ModelFileError, match="is an address that a record names") as found:
        estimator_for(named)
    assert "secret" not in str(found.value)
    assert estimator_for(named, model="demo").model.name == record.model.name
