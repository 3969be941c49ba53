"""text-generation-webui: CMD_FLAGS.txt, and the settings that go with it.

Written against its version 4.7.3, which reads CMD_FLAGS.txt with shlex and starts llama-server
itself, always with flash attention: what it has no flag for goes through --extra-flags, as one
string that begins with a dash.
"""

import json
import shlex
from pathlib import PurePath
from typing import Final

from oomph.advise.launch_plan import Launch, slot_context
from oomph.config import keys_of
from oomph.programs.spelling import Flags, checked_path
from oomph.views.launch.server import server_flags
from oomph.views.launch.spelling import about, commented, n_card_layers

_CACHE_TYPES: Final = {"f16": "fp16", "q8_0": "q8_0", "q4_0": "q4_0"}
"""Its name of a cache type, for K and V alike."""


def render_cmd_flags(launch: Launch) -> str:
    """One flag a line, quoted as shlex reads them; comments are lines that begin with #."""
    flags, own_names = server_flags(launch), keys_of("text-generation-webui").values()
    path = PurePath(checked_path(launch.model_path))
    own: Flags = {
        "loader": "llama.cpp",
        "model-dir": str(path.parent),
        "model": path.name,
        **{name: flags.pop(name) for name in list(flags) if name in own_names},
        "gpu-layers": str(n_card_layers(launch)),
    }
    config = launch.config
    if config.type_k == config.type_v and config.type_k in _CACHE_TYPES:
        own["cache-type"] = _CACHE_TYPES[config.type_k]
        del flags["cache-type-k"], flags["cache-type-v"]
    for said in ("n-gpu-layers", "fit", *(("flash-attn",) if config.flash_attn == "on" else ())):
        del flags[said]
    if flags:
        own["extra-flags"] = _extra(flags)
    lines = [
        f"--{name}" if value is None else f"--{name} {shlex.quote(value)}"
        for name, value in own.items()
    ]
    return (
        commented((*about(launch), "Belongs into user_data/ of text-generation-webui."))
        + "\n".join(lines)
        + "\n"
    )


def _extra(flags: Flags) -> str:
    """Flags as one string; with two words at least, which argparse tells from a flag of its own."""
    words = [
        word
        for name, value in flags.items()
        for word in (f"--{name}", *((value,) if value is not None else ()))
    ]
    return shlex.join(words) if len(words) > 1 else f"{words[0]} --fit off"


def render_settings(launch: Launch) -> str:
    """settings.yaml: how much of a conversation is kept in the prompt. JSON's scalars are
    YAML's."""
    settings = {"truncation_length": slot_context(launch.config)}
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings.items()]
    return (
        "# Belongs into user_data/ of text-generation-webui; loading a model sets the same.\n"
        + "".join(lines)
    )
