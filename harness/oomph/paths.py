"""Where built and fetched parts are kept, outside any checkout."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$OOMPH_CACHE`, or oomph/ in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`);
    may not exist yet."""
    if own := os.environ.get("OOMPH_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "oomph"
