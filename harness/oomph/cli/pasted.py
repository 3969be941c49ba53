"""A command line pasted beside oomph's own options: what it says, and what stands beside it."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from oomph.config import KNOBS
from oomph.errors import ConfigError
from oomph.knob import Program
from oomph.programs.fit_flags import FITTING, FitFlags, read_fit, read_switch
from oomph.programs.pasted import Pasted, shortened
from oomph.programs.said import DEFAULT_PROGRAM, Said, checked_program

_NAMELESS: Final = (
    "name a model: a GGUF file, hf:owner/repo/file.gguf, or a name with its quantization such as "
    "qwen3-30b-a3b:Q4_K_M"
)


AUTO: Final = "auto"
"""llama.cpp's word for as many layers on the cards as --fit finds room for."""


def said_beside(
    command: str | None,
    program: str | None,
    knobs: Mapping[str, Any],
    fit: Sequence[str | None] | None = None,
) -> Pasted:
    """What was said: by the command line of another program (`-` is standard input), if there is
    one, and by oomph's own options, which win. ConfigError for a text that is no command line.

    `fit` is what --fit, --fit-target and --fit-ctx were given, None for a command that has no such
    options.
    """
    named = checked_program(program) if program else None
    leaves_layers = knobs.get("n_gpu_layers") == AUTO
    own = {k: v for k, v in knobs.items() if not (leaves_layers and k == "n_gpu_layers")}
    if command is None:
        said = Said(program=named or DEFAULT_PROGRAM, knobs=own)
        pasted = Pasted(said=said, model=None)
    else:
        pasted = _read(command, named)
        said = replace(pasted.said.with_(**own), where=Said().where)
    if leaves_layers:
        said = replace(said, knobs={k: v for k, v in said.knobs.items() if k != "n_gpu_layers"})
    fitted = None if fit is None else _fitted(said, fit, leaves_layers=leaves_layers)
    return replace(pasted, said=fitted or replace(said, fit=None))


def _read(command: str, program: Program | None) -> Pasted:
    """The command line; its readers are loaded for who pastes one."""
    from oomph.programs.command_line import read_command
    from oomph.programs.shell import LONGEST

    return read_command(sys.stdin.read(LONGEST + 1) if command == "-" else command, program)


def _fitted(said: Said, fit: Sequence[str | None], *, leaves_layers: bool) -> Said:
    """What was said with oomph's own options of --fit. It is on where any of them is given, where a
    command line of a program that fits was pasted, and where the layers were left to it; --fit
    itself has the last word."""
    switch, target, least = fit
    leaves_layers = leaves_layers and said.program in FITTING
    is_asked = leaves_layers or said.fit is not None or target is not None or least is not None
    is_on = is_asked if switch is None else read_switch(switch)
    if not is_on:
        return replace(said, fit=None)
    if said.program not in FITTING:
        raise ConfigError(f"--fit is of {' and '.join(FITTING)}; {said.program} has none")
    own, before = read_fit(target, least), said.fit or FitFlags()
    merged = FitFlags(
        target_mib=own.target_mib or before.target_mib,
        n_ctx_least=own.n_ctx_least or before.n_ctx_least,
    )
    return replace(said, fit=merged)


def put_into(
    given: dict[str, Any], pasted: Pasted, own: Collection[str], *, needs_model: bool
) -> Said:
    """Fill the parameters of a command that were not given, and what is left to be said.

    `own` are the knobs that the command takes as options of oomph's; another that it spells in a
    way of its own is filled in there, and one that it does not ask about is named. ConfigError
    where the command `needs_model` and none is here.
    """
    said = pasted.said
    kept = {name: value for name, value in said.knobs.items() if name in own}
    unasked = []
    for name in said.knobs.keys() - kept.keys():
        if name in given and given[name] is None:
            given[name] = str(said.knobs[name])
        elif not (name in ("type_k", "type_v") and _take_cache(given, said.knobs)):
            unasked.append(name)
    remarks = list(said.remarks)
    if unasked:
        remarks.append(f"Not asked about here: {', '.join(sorted(unasked))}.")
    remarks += _model(given, pasted, needs_model=needs_model) if "model" in given else []
    return replace(said, knobs=kept, remarks=tuple(remarks))


def _take_cache(given: dict[str, Any], knobs: Mapping[str, Any]) -> bool:
    """Whether one type of K and V goes where a command has one option for both."""
    if "type_kv" not in given or knobs.get("type_k") != knobs.get("type_v"):
        return False
    if given["type_kv"] is None:
        given["type_kv"] = knobs["type_k"]
    return True


def _model(given: dict[str, Any], pasted: Pasted, *, needs_model: bool) -> list[str]:
    """Fill in the model, and where launch files look for it; what is to be said of it."""
    named = given["model"]
    if "model_path" in given and given["model_path"] is None and pasted.is_file:
        given["model_path"] = pasted.model
    given["model"] = pasted.model_beside(named)
    if needs_model and given["model"] is None:
        raise ConfigError(_NAMELESS)
    if named is None or pasted.model in (None, named):
        return []
    return [f"{shortened(named)} stands for {shortened(pasted.model or '')}."]


def said_of_run(command: str | None, model: str | None) -> tuple[str | None, Said | None]:
    """The model, and what was said, of a run whose command line is given beside its log."""
    if command is None:
        return model, None
    given: dict[str, Any] = {"model": model}
    said = put_into(given, said_beside(command, None, {}), KNOBS, needs_model=False)
    return given["model"], said
