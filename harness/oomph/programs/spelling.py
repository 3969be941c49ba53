"""A configuration in a program's own words, as the flags that the program has for its knobs.

A path is foreign text: a line break in it would end the value, the comment or the line that it
stands in, and is refused.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from oomph.config import KNOBS, RunConfig, keys_of
from oomph.errors import ConfigError, OomphError
from oomph.knob import Program

Flags = dict[str, str | None]
"""Flags without their dashes, in order; None for one that takes no value."""


class NoSpellingError(OomphError):
    """This configuration has no spelling in the program that it is for; the sentence says what is
    missing."""


def checked_path(path: str) -> str:
    """`path` unless it holds a line break or another character that does not print: then
    ConfigError."""
    if not path or not path.isprintable():
        raise ConfigError(
            f"the path {path!r} has characters that no launch file can hold; rename the model"
        )
    return path


def spelled_knobs(config: RunConfig, program: Program, always: Sequence[str]) -> dict[str, Any]:
    """The knobs to say in the program's own words, by their names: `always`, then what is not as
    the program has it."""
    keys = keys_of(program)
    names = dict.fromkeys((*always, *config.unlike(program)))
    return {name: getattr(config, name) for name in names if name in keys}


def unspelled_knobs(config: RunConfig, program: Program, besides: Collection[str]) -> list[str]:
    """The knobs that the program has no word for, though they are not as it has them; `besides` are
    those that the file says, or does without, in a way of its own."""
    keys = keys_of(program)
    return [
        name
        for name in config.unlike(program)
        if name not in keys and name not in besides and KNOBS[name].part != "work"
    ]


def refuse_unspelled(config: RunConfig, program: Program, besides: Collection[str]) -> None:
    """Unsayable where the program has no word for a knob."""
    if unspelled := unspelled_knobs(config, program, besides):
        raise NoSpellingError(f"{program} has no word for {', '.join(unspelled)}")


def flags_of(knobs: Mapping[str, Any], program: Program) -> Flags:
    """Knobs as the flags that the program has for them, each with its value as text."""
    keys = keys_of(program)
    return {keys[name]: _flag_value(name, value) for name, value in knobs.items()}


def _flag_value(name: str, value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    if isinstance(value, float):
        return f"{value:g}"
    if value == -1 and KNOBS[name].all_words:
        return KNOBS[name].all_words[0]
    return checked_path(value) if isinstance(value, str) else str(value)
