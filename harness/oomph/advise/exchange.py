"""Results of other tools and shared files, taken into a results folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oomph.advise.citations import keep_measured
from oomph.measure.logs.imported import is_log, read_log
from oomph.measure.plan import identify
from oomph.records.imports import import_records, record_on
from oomph.records.schema import ModelIdentity, Record
from oomph.records.share import is_share, read_share
from oomph.records.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How many records were read and are new; `kept` are files that a later estimate cites from."""

    n_read: int
    n_new: int
    kept: tuple[Path, ...]


def import_results(
    files: Sequence[Path | str],
    out: Path | str,
    *,
    model: str | None = None,
    gpu: str | None = None,
) -> Imported:
    """Read llama-bench's and its neighbours' output, logs of llama.cpp and shared files into the
    results folder `out`.

    `model` is the model's file, or its name; `gpu` the card that they ran on, where the tool does
    not say. What is there already is left out. StoreError names the file that cannot be read.
    """
    paths, identity = [Path(file) for file in files], _identity(model)
    shared = [record for path in paths if is_share(path) for record in read_share(path)]
    foreign = [
        record for path in paths if not is_share(path) for record in _read(path, identity, gpu)
    ]
    records = foreign + shared
    with Store(out) as store:
        known = {record.record_id for record in store}
        new = {record.record_id: record for record in records if record.record_id not in known}
        for record in new.values():
            store.append(record)
    return Imported(n_read=len(records), n_new=len(new), kept=tuple(keep_measured(shared)))


def _read(file: Path, model: str | ModelIdentity | None, card: str | None) -> list[Record]:
    if not is_log(file):
        return import_records(file, model=model, card=card)
    return [record_on(record, card) if card else record for record in read_log(file, model=model)]


def _identity(model: str | None) -> str | ModelIdentity | None:
    """The identity of the model's file where there is one, as a sweep would record it."""
    if model is None or not Path(model).is_file():
        return model
    return identify(Path(model))
