"""The backends that are estimated, apart from the records that name them and need pydantic."""

from typing import Final

ESTIMATED_BACKENDS: Final = frozenset({"cpu", "cuda", "phantom"})
"""The backends whose memory and speed an estimate speaks of. What ran on another, or on one that
is not known, is shown and teaches nothing."""
