"""llama-server: the start script and the models preset, from one list of flags.

The list is the configuration in llama-server's words; every other file that ends in a llama-server
takes from it what its own program cannot say. `--fit off`, because llama-server would else change
what was not said.
"""

import shlex

from oomph.advise.launch_plan import Launch
from oomph.config import RunConfig
from oomph.views.launch.saying import Unsayable, about, alias, checked_path, commented, metadata_key

Flags = dict[str, str | None]
"""Flags without their dashes, in order; None for one that takes no value."""


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
    """The whole configuration for llama-server, but for the model."""
    config = launch.config
    flags: Flags = {
        "ctx-size": str(config.n_ctx),
        "parallel": str(config.n_seq_max),
        "batch-size": str(config.n_batch),
        "ubatch-size": str(config.n_ubatch),
        "flash-attn": config.flash_attn,
        "cache-type-k": config.type_k,
        "cache-type-v": config.type_v,
        "n-gpu-layers": "all" if config.n_gpu_layers < 0 else str(config.n_gpu_layers),
    }
    flags |= placement_flags(config) | rope_flags(config)
    if said := overrides(launch):
        flags["override-kv"] = said
    if config.n_threads is not None:
        flags["threads"] = str(config.n_threads)
    return flags | {"fit": "off"}


def placement_flags(config: RunConfig) -> Flags:
    """What goes where, beyond n_gpu_layers; only what differs from llama-server's default."""
    flags: Flags = {}
    if config.n_devices == 0:
        flags["device"] = "none"
    if config.n_cpu_moe:
        flags["n-cpu-moe"] = str(config.n_cpu_moe)
    if config.override_tensor:
        flags["override-tensor"] = checked_path(config.override_tensor)
    if config.split_mode != "layer":
        flags["split-mode"] = config.split_mode
    if config.tensor_split:
        flags["tensor-split"] = ",".join(f"{part:g}" for part in config.tensor_split)
    if config.main_gpu:
        flags["main-gpu"] = str(config.main_gpu)
    switches = {
        "no-kv-offload": not config.offload_kqv,
        "no-op-offload": not config.op_offload,
        "swa-full": config.swa_full,
        "kv-unified": config.kv_unified,
    }
    return flags | {name: None for name, is_on in switches.items() if is_on}


def rope_flags(config: RunConfig) -> Flags:
    """RoPE scaling, where the configuration has any."""
    values = {
        "rope-scaling": config.rope_scaling,
        "rope-scale": f"{config.rope_scale:g}" if config.rope_scale is not None else None,
        "yarn-orig-ctx": str(config.yarn_orig_ctx) if config.yarn_orig_ctx is not None else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def render_script(launch: Launch) -> str:
    """A bash script that becomes llama-server; what is appended when it is called goes on to
    llama-server."""
    flags: Flags = {
        "model": checked_path(launch.model_path),
        "alias": alias(launch),
        **server_flags(launch),
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
            raise Unsayable(
                f"llama.cpp's parser of presets cuts {name} at a #, a ; or an outer blank: "
                f"{value!r}"
            )
    lines = [f"{name} = {'true' if value is None else value}\n" for name, value in flags.items()]
    return commented(about(launch), mark=";") + f"\n[{alias(launch)}]\n" + "".join(lines)
