"""Where built and fetched parts are kept, outside any checkout."""

import os
from pathlib import Path

from oomph.errors import ConfigError


def cache_folder() -> Path:
    """`$OOMPH_CACHE`, or oomph/ in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`);
    may not exist yet. ConfigError for a user without a home: a folder that others can write is no
    place for libraries that are loaded."""
    if own := os.environ.get("OOMPH_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "oomph"
    try:
        return Path.home() / ".cache" / "oomph"
    except RuntimeError:
        raise ConfigError(
            "this user has no home folder; set OOMPH_CACHE to a folder for what oomph keeps"
        ) from None


def expanded(path: Path | str) -> Path:
    """The path with `~` as the user's home, as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_remote(reference: str) -> bool:
    """Whether a model is named by URL or as `hf:owner/repo/file.gguf`."""
    return reference.startswith(("http://", "https://", "hf:"))
