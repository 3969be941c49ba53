"""One thing that the doctor looked at, how it is, and what mends it."""

from oomph.frozen import frozen


@frozen
class Finding:
    """One thing looked at: `state` is "ok", "missing" (oomph's main job needs it) or "optional"."""

    name: str
    state: str
    detail: str
    remedy: str | None = None
