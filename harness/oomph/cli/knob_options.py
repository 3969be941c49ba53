"""llama.cpp's knobs as options of a command, spelled as its own programs spell them.

Every command that asks about one configuration takes the options that RunConfig's fields declare,
and none lists them again.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, get_type_hints

import typer

from oomph.config import KINDS, KNOBS, knob_value
from oomph.knob import Knob

_TYPES: Final[Mapping[str, Any]] = {"int": int | None, "float": float | None, "bool": bool | None}
"""An option's type by its knob's; any other is read from text."""


def _option_name(name: str, knob: Knob) -> str:
    """The parameter that the option becomes: a switch that turns something off is called so."""
    return knob.options[0].removeprefix("--").replace("-", "_") if knob.is_negated else name


def _annotation(name: str, knob: Knob) -> Any:
    kind = _TYPES.get(KINDS[name].removesuffix(" | None"), str | None)
    if knob.is_negated:
        kind = bool
    elif knob.is_repeated:
        kind = list[str] | None
    elif knob.all_words:
        kind = str | None
    return Annotated[kind, typer.Option(*knob.options, help=knob.help)]


_NAMES: Final = {_option_name(name, knob): name for name, knob in KNOBS.items()}
"""The knob of each option."""
OPTIONS: Final[Mapping[str, Any]] = {
    option: _annotation(name, KNOBS[name]) for option, name in _NAMES.items()
}
"""A parameter's annotation by its name."""


def takes_knobs(
    command: Callable[..., None], *, without: Collection[str] = ()
) -> Callable[..., None]:
    """`command` for typer, its parameter `knobs` replaced by the options; it is given those that
    were said.

    `without` names knobs that the command spells in a way of its own, or that make no sense to it.
    """
    options = {name: option for name, option in OPTIONS.items() if name not in without}
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "knobs"
    ]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=option,
            default=False if KNOBS[_NAMES[name]].is_negated else None,
        )
        for name, option in options.items()
    ]

    def run(**given: Any) -> None:
        said = {name: given.pop(name) for name in options}
        command(**given, knobs=_knobs(said))

    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature([*keyword_only, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
    return run


def _knobs(said: Mapping[str, Any]) -> dict[str, Any]:
    """RunConfig's names and values of the options that were said."""
    found: dict[str, Any] = {}
    for option, value in said.items():
        name = _NAMES[option]
        if KNOBS[name].is_negated:
            found |= {name: False} if value else {}
        elif value is not None and value != []:
            found[name] = _value(name, KNOBS[name], value)
    return found


def _value(name: str, knob: Knob, value: Any) -> Any:
    """A knob's value of what its option was given, text or already a number."""
    if knob.is_repeated:
        return ",".join(value)
    if not isinstance(value, str) or knob.choices:
        return value
    return -1 if value in knob.all_words else knob_value(name, value)
