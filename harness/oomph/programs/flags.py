"""llama.cpp's flags as its --help has them: spellings, variables, what each does to memory.

The table is `flags.toml`, which `scripts/llama-flags` writes of the pinned build.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

from oomph.config import keys_of
from oomph.frozen import frozen

Kind = Literal["knob", "read", "memory", "neutral", "gone", "other"]
ON: Final = ("on", "enabled", "true", "1")
OFF: Final = ("off", "disabled", "false", "0")
"""llama.cpp's words: common/arg.cpp, is_truthy and is_falsey."""


@frozen
class Flag:
    """One flag. `negative` are the spellings that turn it off, `value` is what --help calls what it
    takes (empty for a switch), `environment` its variable.

    `kind` is the section of the table: a knob of RunConfig; read in a way of its own; not modelled,
    with its `effect` on memory; neutral; refused by this build; of other builds and programs.
    `idle` are values with which it takes nothing.
    """

    name: str
    kind: Kind
    spellings: tuple[str, ...]
    negative: tuple[str, ...] = ()
    value: str = ""
    environment: str = ""
    effect: str = ""
    idle: tuple[str, ...] = ()

    @property
    def n_values(self) -> int:
        """How many words follow it."""
        return 2 if self.value == "START END" else int(bool(self.value))

    @property
    def may_stand_alone(self) -> bool:
        """Whether an older llama.cpp had it without a value: on."""
        return self.value.startswith("[on|off")


@cache
def flags() -> tuple[Flag, ...]:
    """All of the table."""
    text = Path(__file__).with_name("flags.toml").read_text(encoding="utf-8")
    table: Mapping[Kind, Mapping[str, Mapping[str, Any]]] = tomllib.loads(text)  # type: ignore[assignment]
    return tuple(
        Flag(
            name=name,
            kind=kind,
            spellings=tuple(row["spellings"]),
            negative=tuple(row.get("negative", ())),
            value=row.get("value", ""),
            environment=row.get("env", ""),
            effect=row.get("effect", ""),
            idle=tuple(row.get("idle", ())),
        )
        for kind in get_args(Kind)
        for name, row in table.get(kind, {}).items()
    )


@cache
def by_spelling() -> Mapping[str, tuple[Flag, bool]]:
    """Each spelling's flag, and whether it turns it on."""
    return {each: (flag, True) for flag in flags() for each in flag.spellings} | {
        each: (flag, False) for flag in flags() for each in flag.negative
    }


@cache
def by_variable() -> Mapping[str, tuple[Flag, bool]]:
    """Each variable's flag, and whether it turns it on: LLAMA_ARG_NO_X off what LLAMA_ARG_X is
    (common/arg.cpp, get_value_from_env)."""
    named = {flag.environment: (flag, True) for flag in flags() if flag.environment}
    negated = {
        flag.environment.replace("LLAMA_ARG_", "LLAMA_ARG_NO_"): (flag, False)
        for flag in flags()
        if flag.environment and flag.negative
    }
    return negated | named


@cache
def knob_names() -> Mapping[str, str]:
    """The knob of each flag that is one, by the flag's name."""
    found = {}
    for knob, key in keys_of("llama-server").items():
        if (entry := by_spelling().get(f"--{key}")) is not None:
            found[entry[0].name] = knob
    return found
