"""koboldcpp: a start script.

Written against its version 1.117.1. Flash attention is its default, and one batch size is both of
llama.cpp's. It has no YaRN: past the trained context it stretches the base frequency by a rule of
its own.
"""

import shlex
from typing import Final

from oomph.advise.launch_plan import Launch
from oomph.programs.spelling import (
    Flags,
    NoSpellingError,
    checked_path,
    flags_of,
    refuse_unspelled,
    spelled_knobs,
)
from oomph.views.launch.spelling import (
    HOST,
    about,
    commented,
    listening,
    n_card_layers,
    refuse_beside,
)

ALWAYS: Final = ("n_ctx", "n_ubatch", "type_k", "n_gpu_layers")
_CACHE_TYPES: Final = ("f16", "bf16", "q8_0", "q5_1", "q4_0")
_BATCH_SIZES: Final = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_LONGEST: Final = 524_288
PORT: Final = 5001
"""koboldcpp's own; its host is every network unless it is said."""


def render_koboldcpp(launch: Launch) -> str:
    """A bash script that becomes koboldcpp. Unsayable for a configuration that its flags cannot
    spell."""
    refuse_beside(launch, "koboldcpp")
    _check(launch)
    config = launch.config.with_(n_gpu_layers=n_card_layers(launch))
    said = flags_of(spelled_knobs(config, "koboldcpp", ALWAYS), "koboldcpp")
    split = said.pop("tensor_split", None)
    flags: Flags = {"model": checked_path(launch.model_path), **said}
    if config.flash_attn == "off":
        flags["noflashattention"] = None
    if config.n_devices == 0:
        flags["usecpu"] = None
    flags |= {"host": HOST, "port": str(PORT)}
    arguments = [
        f"--{name}" if value is None else f"--{name} {shlex.quote(value)}"
        for name, value in flags.items()
    ]
    if split:  # takes as many words as follow
        arguments.insert(0, "--tensor_split " + split.replace(",", " "))
    if config.n_devices:  # takes words too
        arguments.insert(0, "--usecuda")
    return (
        "#!/usr/bin/env bash\n"
        + commented(
            (
                *about(launch),
                *listening(PORT, ", unless --password and --ssl are given"),
                *_notes(launch),
            )
        )
        + 'set -euo pipefail\nexec "${KOBOLDCPP:-koboldcpp}" \\\n'
        + "".join(f"    {argument} \\\n" for argument in arguments)
        + '    "$@"\n'
    )


def _check(launch: Launch) -> None:
    config = launch.config
    if config.type_k != config.type_v or config.type_k not in _CACHE_TYPES:
        raise NoSpellingError(
            f"koboldcpp takes one cache type for K and V, of {', '.join(_CACHE_TYPES)}"
        )
    if not 256 <= config.n_ctx <= _LONGEST:
        raise NoSpellingError(f"koboldcpp takes a context of 256 to {_LONGEST:,} tokens")
    if config.n_ubatch not in _BATCH_SIZES:
        raise NoSpellingError(
            f"koboldcpp takes a batch size of {', '.join(map(str, _BATCH_SIZES))}"
        )
    if config.n_seq_max > 1 or config.split_mode != "layer" or not config.op_offload:
        raise NoSpellingError(
            "several slots, other split modes and --no-op-offload have other words or none in "
            "koboldcpp"
        )
    own_way = ("n_batch", "n_devices", "type_v", "flash_attn", "rope_scaling", "rope_scale")
    idle = ("n_outputs_max", "kv_unified", "yarn_orig_ctx")  # of one slot, and of YaRN
    refuse_unspelled(config, "koboldcpp", (*own_way, *idle))


def _notes(launch: Launch) -> tuple[str, ...]:
    """What koboldcpp does in its own way."""
    own = (
        "The memory is what llama-server would take; koboldcpp, a program of its own, was not "
        "measured."
    )
    rope = (
        "koboldcpp has no YaRN flag: it stretches RoPE's base by a rule of its own (--ropeconfig "
        "changes it)."
    )
    return (own, rope) if launch.scaling else (own,)
