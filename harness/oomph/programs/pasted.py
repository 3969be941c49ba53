"""What a pasted command line asks: its knobs, its model, and what is in no figure."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import field
from typing import Any, Final

from oomph.architectures.source import read_model
from oomph.config import RunConfig, knob_value
from oomph.errors import ConfigError, OomphError
from oomph.frozen import frozen, mutable
from oomph.knob import Program
from oomph.paths import expanded, is_remote
from oomph.programs.defaults import PROGRAMS
from oomph.programs.fit_flags import FITTING, FitFlags, read_fit, read_switch
from oomph.programs.said import Said

WHERE: Final = "--command"
MOST: Final = 24
"""Items of a list that are shown."""


@frozen
class Pasted:
    """`said` has the program, the knobs and the remarks; `model` is what the command names, as
    `read_model` takes it, or None."""

    said: Said
    model: str | None

    @property
    def is_file(self) -> bool:
        """Whether the model is a path, not a name or an address."""
        return self.model is not None and is_path(self.model)

    def model_beside(self, named: str | None) -> str | None:
        """The model that is asked about: the one that is `named` beside the command, else the
        command's: a file, or the published model that a file which is not here is called after.
        ConfigError where nothing stands behind it."""
        if named is not None or self.model is None or not self.is_file:
            return named or self.model
        path = expanded(self.model)
        if path.exists():
            return str(path)
        name = re.split(r"[\\/]", self.model)[-1]
        try:
            read_model(name)
        except OomphError:
            raise ConfigError(
                f"{WHERE}: the model {shortened(self.model)} is not here; name the model that "
                "stands behind it too, such as qwen3-30b-a3b:Q4_K_M"
            ) from None
        return name


@mutable
class Collected:
    """What has been read so far. `unmodelled` changes memory, `idle` changes none,
    `refused` is a flag that llama.cpp had, `unknown` none that there is, `notes` say how something
    was understood. `visible_devices` is CUDA_VISIBLE_DEVICES, where it is set, `devices` the cards
    that it is to run on by name; `files` are what is loaded beside the model, `fit` the values of
    --fit, --fit-target and --fit-ctx by name."""

    program: Program
    knobs: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    unmodelled: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    visible_devices: str | None = None
    fit: dict[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    def take(self, knob: str, value: Any, flag: str) -> None:
        """`value` (text, or of the knob's type) as it is given by `flag`; ConfigError, which names
        it, for what the knob cannot be."""
        where = f"{WHERE}: {flag} {shortened(str(value))}" if isinstance(value, str) else WHERE
        try:
            read = knob_value(knob, value) if isinstance(value, str) else value
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        if (knob, read) != ("n_ctx", 0):  # which is the model's own
            RunConfig.from_mapping({knob: read}, where=where)
        self.knobs[knob] = read

    def _count_cards(self) -> None:
        """How many cards there are, where no flag says so: one for each share of the split, else
        those that are visible."""
        shares = self.knobs.get("tensor_split") or ()
        if len(shares) > 1:
            self.knobs.setdefault("n_devices", len(shares))
        elif self.visible_devices is not None:
            named = self.visible_devices.split(",")
            cards = [each for each in named if each.strip() not in ("", "-1")]
            self.knobs.setdefault("n_devices", len(cards))

    def add_unmodelled(self, written: str, effect: str) -> None:
        """A flag that changes memory, with what it does."""
        self.unmodelled.append(f"{shortened(written)} ({effect})" if effect else shortened(written))

    def add_unknown(self, written: str, known: Iterable[str] = ()) -> None:
        """A word that is no flag of the program, with the nearest that is one."""
        near = list[str]()
        if len(self.unknown) < MOST:
            name = written.partition(" ")[0][:60]
            near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
        self.unknown.append(f"{shortened(written)}{f' (like {near[0]}?)' if near else ''}")

    def pasted(self) -> Pasted:
        """All of it, in the order in which a reader wants it."""
        self._count_cards()
        return Pasted(
            said=Said(
                program=self.program,
                knobs=self.knobs,
                where=WHERE,
                fit=self._fit(),
                devices=self.devices,
                files=self.files,
                remarks=tuple(self._remarks()),
                is_whole=not (self.unmodelled or self.refused or self.unknown),
            ),
            model=self.model,
        )

    def _fit(self) -> FitFlags | None:
        """What --fit does: where the program has it, it is on until it is turned off."""
        if self.program not in FITTING or not read_switch(self.fit.get("fit", "on")):
            return None
        return read_fit(self.fit.get("fit-target"), self.fit.get("fit-ctx"))

    def _remarks(self) -> Iterable[str]:
        if self.unmodelled:
            yield f"Not in the figures: {listed(self.unmodelled, '; ')}."
        if self.refused:
            build = PROGRAMS["llama-server"].build
            yield f"Refused by llama.cpp {build}: {listed(self.refused, '; ')}."
        if self.unknown:
            yield f"Not known, and left out: {listed(self.unknown)}."
        yield from list(dict.fromkeys(self.notes))[:MOST]
        if self.idle:
            yield f"Changes no memory: {listed(self.idle)}."


def named_devices(names: Iterable[str]) -> tuple[str, ...]:
    """CUDA's devices by their names; none where another backend's are among them, which oomph does
    not tell apart."""
    found = tuple(name.strip().upper() for name in names)
    return found if all(re.fullmatch(r"CUDA[0-9]{1,2}", name) for name in found) else ()


def listed(items: Iterable[str], mark: str = ", ") -> str:
    """The items, each once, and how many more than MOST there are."""
    once = list(dict.fromkeys(items))
    more = [f"and {len(once) - MOST} more"] if len(once) > MOST else []
    return mark.join((*once[:MOST], *more))


def shortened(text: str) -> str:
    """Foreign text as one line of 60 characters at most."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= 60 else f"{line[:59]}…"


def is_path(model: str) -> bool:
    """Whether it names a file: by its ending, or by a folder before it."""
    return not is_remote(model) and (
        model.lower().endswith(".gguf") or model.startswith(("/", "./", "../", "~", "\\", "$"))
    )
