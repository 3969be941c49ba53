"""llama-server: the start script and the models preset, from one list of flags.

The list is the configuration in llama-server's words; every other file that ends in a llama-server
takes from it what its own program cannot say. `--fit off`, because llama-server would else change
what was not said.
"""

import shlex
from typing import Final

from oomph.advise.launch_plan import Launch
from oomph.config import RunConfig
from oomph.programs.spelling import (
    Flags,
    NoSpellingError,
    checked_path,
    flags_of,
    refuse_unspelled,
    spelled_knobs,
)
from oomph.views.launch.spelling import HOST, about, alias, commented, listening, metadata_key

ALWAYS: Final = (
    "n_ctx",
    "n_seq_max",
    "n_batch",
    "n_ubatch",
    "flash_attn",
    "type_k",
    "type_v",
    "n_gpu_layers",
    "cache_ram_mib",
    "ctx_checkpoints",
)
"""Said even where llama-server has it so by itself: its defaults differ between releases, and with
the card's free memory."""
PORT: Final = 8080
"""Said, because llama-server's own is about to change (llama.cpp PR 26508)."""
BESIDE: Final = {"mmproj": "mmproj", "lora": "lora", "draft": "spec-draft-model"}
"""The flag of each kind of file that is loaded beside the model."""
_ROPE: Final = ("rope_scaling", "rope_scale", "yarn_orig_ctx")


def overrides(launch: Launch) -> str | None:
    """--override-kv's one list, as llama.cpp takes only the last; None where nothing is
    overridden."""
    values = {
        "expert_used_count": launch.config.n_expert_used,
        "context_length": launch.context_length,
    }
    said = [
        f"{metadata_key(launch, key)}=int:{value}"
        for key, value in values.items()
        if value is not None
    ]
    return ",".join(said) or None


def server_flags(launch: Launch) -> Flags:
    """The whole configuration for llama-server, but for the model. Unsayable for a knob that it has
    no flag for."""
    config = launch.config
    refuse_unspelled(config, "llama-server", ("n_devices", "n_expert_used", "n_outputs_max"))
    flags = flags_of(spelled_knobs(config, "llama-server", ALWAYS), "llama-server")
    if config.n_devices == 0:
        flags["device"] = "none"
    elif launch.devices:
        flags["device"] = ",".join(launch.devices)
    if said := overrides(launch):
        flags["override-kv"] = said
    for kind, path in launch.files.items():
        flags[BESIDE[kind]] = checked_path(path)
    return flags | {"fit": "off"}


def rope_flags(config: RunConfig) -> Flags:
    """RoPE scaling, where the configuration has any."""
    asked = config.unlike("llama-server")
    return flags_of({name: asked[name] for name in _ROPE if name in asked}, "llama-server")


def render_script(launch: Launch) -> str:
    """A bash script that becomes llama-server; what is appended when it is called goes on to
    llama-server."""
    flags: Flags = {
        "model": checked_path(launch.model_path),
        "alias": alias(launch),
        **server_flags(launch),
        "host": HOST,
        "port": str(PORT),
    }
    arguments = [
        f"--{name}" if value is None else f"--{name} {shlex.quote(value)}"
        for name, value in flags.items()
    ]
    return (
        "#!/usr/bin/env bash\n"
        + commented(
            (
                *about(launch),
                *listening(PORT, ", unless --api-key-file and --ssl-key-file are given"),
                "LLAMA_SERVER names another llama-server; further arguments are passed on.",
            )
        )
        + 'set -euo pipefail\nexec "${LLAMA_SERVER:-llama-server}" \\\n'
        + "".join(f"    {argument} \\\n" for argument in arguments)
        + '    "$@"\n'
    )


def render_preset(launch: Launch) -> str:
    """A file for `llama-server --models-preset`: one section, which that server loads when a
    request names it.

    Unsayable for a value that llama.cpp's parser cuts: at a # or ;, and at blanks on either side.
    """
    flags: Flags = {"model": checked_path(launch.model_path), **server_flags(launch)}
    for name, value in flags.items():
        if value is not None and (set(value) & set("#;") or value != value.strip()):
            raise NoSpellingError(
                f"llama.cpp's parser of presets cuts {name} at a #, a ; or an outer blank: "
                f"{value!r}"
            )
    lines = [f"{name} = {'true' if value is None else value}\n" for name, value in flags.items()]
    return commented(about(launch), mark=";") + f"\n[{alias(launch)}]\n" + "".join(lines)
