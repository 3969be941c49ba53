"""The host's memory in words and as JSON: held, mapped, filled in use; and what the RAM says."""

import re
from dataclasses import asdict
from typing import Any, Final

from oomph.config import RunConfig
from oomph.estimate.host import HostFit
from oomph.estimate.host_memory import fitting_caches
from oomph.views.language import render_text

_BREAKS: Final = re.compile(r"[ \n]+")
"""Of a line; what keeps a figure and its unit together is another blank."""


def host_paragraph(host: HostFit, config: RunConfig, language: str = "en") -> str:
    """What `config` takes of the host's memory, and how the RAM stands to it, on one line."""
    text = render_text(
        "host",
        language,
        host=host,
        memory=host.memory,
        config=config,
        free_bytes=_free(host),
        fitting=fitting_caches(host, config),
    )
    return _BREAKS.sub(" ", text).strip()


def _free(host: HostFit) -> int | None:
    most = host.memory.most_bytes
    return None if host.room_bytes is None or most is None else host.room_bytes - most


def host_json(host: HostFit) -> dict[str, Any]:
    """The same for programs, in bytes; `most_bytes` is None where the prompt cache has no limit,
    `room_bytes` and `state` where nobody said what RAM there is."""
    memory = host.memory
    return {
        **asdict(memory),
        "held_bytes": memory.held_bytes,
        "busy_bytes": memory.busy_bytes,
        "most_bytes": memory.most_bytes,
        "room_bytes": host.room_bytes,
        "is_shared": host.is_shared,
        "state": host.state,
    }
