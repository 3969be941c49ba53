"""What `oomph verify` has learned of builds here: by how much their compute buffers are off."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from oomph.files import write_files
from oomph.foreign import kept_bytes, parse_json
from oomph.paths import cache_folder

MOST_SHARE: Final = 100.0
"""No build's compute buffers are off by more; a file that says so is broken."""


def bounds_file() -> Path:
    """Where the bounds are kept; may not exist yet."""
    return cache_folder() / "verified.json"


def learned_share(build: int | None, *, has_cards: bool) -> float | None:
    """The largest share by which this build's compute buffers were off; None where it was not
    verified here."""
    found = _read().get(_key(build, has_cards=has_cards))
    share = found.get("compute_share") if isinstance(found, dict) else None
    if not isinstance(share, int | float) or isinstance(share, bool):
        return None
    return float(share) if 0 <= share <= MOST_SHARE else None


def keep_bound(build: int, share: float, models: Sequence[str], *, has_cards: bool) -> Path:
    """Keep what these models have shown of the build; the file."""
    bound = {
        "compute_share": share,
        "models": list(models),
        "on": datetime.now(UTC).date().isoformat(),
    }
    text = json.dumps({**_read(), _key(build, has_cards=has_cards): bound}, indent=1)
    write_files({bounds_file(): text + "\n"}, otherwise="set OOMPH_CACHE to another folder")
    return bounds_file()


def _key(build: int | None, *, has_cards: bool) -> str:
    return f"b{build} {'cards' if has_cards else 'cpu'}"


def _read() -> Mapping[str, Any]:
    """What is kept; a file that somebody has broken keeps nothing."""
    try:
        found = parse_json(kept_bytes(bounds_file()) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
