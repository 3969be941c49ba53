"""Several results folders as one, for several machines.

Records are taken as they stand, foreign keys and all; one that is in two folders is taken once.
"""

from collections.abc import Sequence

from oomph.errors import StoreError
from oomph.records.store import Store


def merge(sources: Sequence[Store], target: Store) -> int:
    """Append to `target` every record of `sources` that it has not; how many were new.

    Raises StoreError for a source without records or a target that is one of the sources.
    """
    with target:
        known = {record.record_id for record in target.records()}
        before = len(known)
        for source in sources:
            if source.folder.resolve() == target.folder.resolve():
                raise StoreError(
                    f"{source.folder} cannot be merged into itself; give another folder with --out"
                )
            if not source.path.exists():
                raise StoreError(
                    f"{source.folder} has no {source.path.name}; check the folder's name"
                )
            for record in source.records():
                if record.record_id not in known:
                    target.append(record)
                    known.add(record.record_id)
        return len(known) - before
