"""llama.cpp's knobs as options of a command, spelled as its own programs spell them.

Every command that asks about one configuration takes the options that RunConfig's fields declare,
and `--as` for the program whose defaults stand for the rest; none lists them again.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, get_args

import typer

from oomph.architectures.file_size import sized
from oomph.cli.named import (
    AdapterOption,
    CommandOption,
    DeviceOption,
    DraftOption,
    FileSizeOption,
    FitContextOption,
    FitOption,
    FitTargetOption,
    ProgramOption,
    ProjectorOption,
    RamOption,
    ReserveOption,
)
from oomph.cli.output import say
from oomph.cli.pasted import AUTO, put_into, said_beside
from oomph.config import KINDS, KNOBS, knob_value, knob_values
from oomph.estimate.machine import ram_size, reserve_size
from oomph.knob import Knob
from oomph.programs.pasted import Pasted
from oomph.programs.said import Said

_METAVARS: Final = {"int": "N", "float": "X", "tuple[float, ...]": "X,Y"}


def _option_name(name: str, knob: Knob) -> str:
    """The parameter that the option becomes: a switch that turns something off is called so."""
    return knob.options[0].removeprefix("--").replace("-", "_") if knob.is_negated else name


def _annotation(name: str, knob: Knob) -> Any:
    if KINDS[name] == "bool":
        kind: Any = bool if knob.is_negated else bool | None
        return Annotated[kind, typer.Option(*knob.options, help=knob.help)]
    kind = list[str] if knob.is_repeated else str
    metavar = _METAVARS.get(KINDS[name].removesuffix(" | None"), "TEXT")
    if knob.choices:
        metavar = "WORD" if len(knob.choices) > 4 else "|".join(knob.choices)
    return Annotated[kind | None, typer.Option(*knob.options, help=knob.help, metavar=metavar)]


_NAMES: Final = {_option_name(name, knob): name for name, knob in KNOBS.items()}
"""The knob of each option."""
OPTIONS: Final[Mapping[str, Any]] = {
    option: _annotation(name, KNOBS[name]) for option, name in _NAMES.items()
}
"""A parameter's annotation by its name."""
_PROGRAM: Final = inspect.Parameter(
    "program",
    inspect.Parameter.KEYWORD_ONLY,
    annotation=Annotated[str | None, *get_args(ProgramOption)[1:]],
    default=None,
)
_COMMAND: Final = inspect.Parameter(
    "command", inspect.Parameter.KEYWORD_ONLY, annotation=CommandOption, default=None
)
_FITTING: Final = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=option, default=None)
    for name, option in (
        ("fit", FitOption),
        ("fit_target", FitTargetOption),
        ("fit_ctx", FitContextOption),
    )
)
_AROUND: Final = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=option, default=None)
    for name, option in (("ram", RamOption), ("reserve", ReserveOption))
)
_DEVICE: Final = inspect.Parameter(
    "device", inspect.Parameter.KEYWORD_ONLY, annotation=DeviceOption, default=None
)
_BESIDE: Final = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=option, default=None)
    for name, option in (
        ("draft", DraftOption),
        ("mmproj", ProjectorOption),
        ("lora", AdapterOption),
    )
)
_FILE_SIZE: Final = inspect.Parameter(
    "file_size", inspect.Parameter.KEYWORD_ONLY, annotation=FileSizeOption, default=None
)


def takes_knobs(
    command: Callable[..., None],
    *,
    without: Collection[str] = (),
    lists: bool = False,
    tells: bool = False,
    fits: bool = False,
) -> Callable[..., None]:
    """`command` for typer, its parameter `said` replaced by `--as`, `--command` and the knobs'
    options; it is given what was said, and its `model` with the size of the file (--file-size). A
    model may be left out where a command line names it.

    `without` names knobs (or the `program`) that the command spells in a way of its own, or that
    make no sense to it. With `lists` an option takes several values, by comma or as a range, and
    each knob that was said is a list of them. With `tells` what a command line says and no knob
    holds is told on standard error, where the command's own output has no place for it. With `fits`
    it takes llama.cpp's --fit and what goes with it; else nothing is fitted.
    """
    options = {name: option for name, option in OPTIONS.items() if name not in without}
    parameters = inspect.signature(command).parameters
    needs_model = "model" in parameters and parameters["model"].default is inspect.Parameter.empty
    own = [
        _optional(each) if each.name == "model" and needs_model else each
        for each in parameters.values()
        if each.name != "said"
    ]
    added = [_parameter(name, option) for name, option in options.items()]
    if "program" not in without:
        added.insert(0, _PROGRAM)
    is_sized = "model" in parameters and not lists
    added[:0] = [_COMMAND, _FILE_SIZE] if is_sized else [_COMMAND]
    added += _BESIDE if is_sized else ()
    added += _FITTING if fits else ()
    has_cards = "gpu" in parameters and not lists
    if has_cards:
        added[:0] = [_DEVICE, *_AROUND]

    asked = {_NAMES[name] for name in options}

    def run(**given: Any) -> None:
        knobs = _knobs({name: given.pop(name) for name in options}, lists=lists)
        if lists:
            pasted = said_beside(given.pop("command"), None, {})
            say(*pasted.said.remarks, err=True)
            command(**given, said=_as_lists(pasted.said, options, knobs))
            return
        file_size, device = given.pop("file_size", None), given.pop("device", None)
        told = [given.pop(each.name) for each in _FITTING] if fits else None
        pasted = said_beside(given.pop("command"), given.pop("program", None), knobs, told)
        said = _on_machine(given, pasted, asked, needs_model=needs_model).on_devices(device)
        said = _with_what_is_here(given.get("model"), said).beside(**_files(given))
        if file_size and given["model"]:
            given["model"] = sized(given["model"], file_size)
        say(*(said.remarks if tells else ()), err=True)
        command(**given, said=said)

    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature([*keyword_only, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
    return run


def _with_what_is_here(model: str | None, said: Said) -> Said:
    """What a pasted line said, without the files beside the model that are only where it ran."""
    if not said.files:
        return said
    from oomph.calibrate.aboard import without_missing

    return without_missing(model, said)


def _files(given: dict[str, Any]) -> dict[str, str | None]:
    """What is loaded beside the model, taken out of what was given: several by comma."""
    named = {each.name: given.pop(each.name, None) for each in _BESIDE}
    return {
        name: ",".join(value) if isinstance(value, list) else value for name, value in named.items()
    }


def _on_machine(
    given: dict[str, Any], pasted: Pasted, own: Collection[str], *, needs_model: bool
) -> Said:
    """`put_into`, on a machine with so much RAM, whose cards leave so much to others."""
    ram, reserve = (given.pop(each.name, None) for each in _AROUND)
    return replace(
        put_into(given, pasted, own, needs_model=needs_model),
        ram_bytes=None if ram is None else ram_size(ram),
        reserve_bytes=0 if reserve is None else reserve_size(reserve),
    )


def _as_lists(said: Said, options: Collection[str], knobs: Mapping[str, Any]) -> Said:
    """A pasted command's knobs as lists of one value, of those that there are options for, beside
    the lists `knobs`; the model's own context (0) is none to measure at."""
    asked = {_NAMES[option] for option in options}
    pasted = {
        name: [value]
        for name, value in said.knobs.items()
        if name in asked and (name, value) != ("n_ctx", 0)
    }
    return Said(knobs={**pasted, **knobs}, files=said.files)


def _parameter(name: str, option: Any) -> inspect.Parameter:
    """The parameter of a knob's option: a switch is off, and another not given."""
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=option,
        default=False if KNOBS[_NAMES[name]].is_negated else None,
    )


def _optional(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter of a model that may be left out."""
    kind, *metadata = get_args(parameter.annotation)
    return parameter.replace(annotation=Annotated[kind | None, *metadata], default=None)


def _knobs(said: Mapping[str, Any], *, lists: bool) -> dict[str, Any]:
    """RunConfig's names and values of the options that were said."""
    found: dict[str, Any] = {}
    for option, value in said.items():
        name = _NAMES[option]
        if (name, value) == ("n_gpu_layers", AUTO) and not lists:
            found[name] = AUTO
        elif KNOBS[name].is_negated:
            found |= {name: [False] if lists else False} if value else {}
        elif value is not None and value != []:
            found[name] = _value(name, KNOBS[name], value, lists=lists)
    return found


def _value(name: str, knob: Knob, value: Any, *, lists: bool) -> Any:
    """A knob's value, or list of values, of what its option was given: text, or a switch."""
    if knob.is_repeated or isinstance(value, bool):
        value = ",".join(value) if knob.is_repeated else value
        return [value] if lists else value
    if lists and name != "tensor_split":  # which is a list by itself
        return knob_values(name, value)
    return [knob_value(name, value)] if lists else knob_value(name, value)
