"""LM Studio: `lms load`, whose few flags are knobs."""

from collections.abc import Mapping, Sequence
from typing import Final

from oomph.programs.pasted import Collected

_KNOBS: Final = {"--context-length": "n_ctx", "-c": "n_ctx", "--parallel": "n_seq_max"}
_IDLE: Final = ("--identifier", "--ttl", "--host", "--port")
_SWITCHES: Final = ("-y", "--yes", "--exact", "--quiet", "--estimate-only")


def read_lms(words: Sequence[str], environment: Mapping[str, str], into: Collected) -> None:
    """Put what `lms load MODEL` says into `into`."""
    rest = list(words[1:] if words[:1] == ("load",) else words)
    while rest:
        name, equals, glued = rest.pop(0).partition("=")
        if not name.startswith("-"):
            into.model = into.model or name
            continue
        if name in _SWITCHES:
            into.idle.append(name)
            continue
        value = glued if equals else rest.pop(0) if rest else ""
        if knob := _KNOBS.get(name):
            into.take(knob, value, name)
        elif name == "--gpu":
            _gpu(value, into)
        elif name in _IDLE:
            into.idle.append(name)
        else:
            known = (*_KNOBS, *_IDLE, *_SWITCHES, "--gpu")
            into.add_unknown(f"{name} {value}".strip(), known)


def _gpu(value: str, into: Collected) -> None:
    """off, max, or a share of the layers, whose number hangs on the model."""
    if value in ("off", "0"):
        into.take("n_gpu_layers", 0, "--gpu")
    elif value in ("max", "1", "1.0", "auto"):
        into.take("n_gpu_layers", "all", "--gpu")
    else:
        into.add_unmodelled(f"--gpu {value}", "a share of the layers; say how many with -ngl")
