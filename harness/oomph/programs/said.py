"""What was said of a run, and what the program that runs it makes of the rest.

One question of every command: the knobs that somebody gave, over the defaults of the program that
they stand for. A configuration follows once the model and the card's memory are known.
"""

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Final, Self, cast

from oomph.architectures.rope import native_context
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig, defaults_of
from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.knob import Program
from oomph.programs.defaults import MODEL_CONTEXT, PROGRAMS, ProgramFacts
from oomph.programs.fit_flags import FitFlags

DEFAULT_PROGRAM: Final[Program] = "llama-server"


@frozen
class Said:
    """Knobs that were given, by RunConfig's names, to be run as `program` runs them; `where` they
    were given. `devices` are the cards that it is to run on, by llama.cpp's names, where they were
    named, and `n_cards` is how many there are, where that is known without its being said. `fit` is
    what was said of llama.cpp's --fit, None where it is off. `files` are what is loaded beside the
    model, by what it is there ("draft"). `ram_bytes` is the machine's RAM, None where nothing was
    said, and `reserve_bytes` what each card leaves to others. `remarks` are sentences on what was
    said and is in no knob; `is_whole` says that nothing of it takes memory which the knobs do not
    tell."""

    program: Program = DEFAULT_PROGRAM
    knobs: Mapping[str, Any] = field(default_factory=dict)
    where: str = "the command line"
    fit: FitFlags | None = None
    devices: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    n_cards: int | None = None
    ram_bytes: int | None = None
    reserve_bytes: int = 0
    remarks: tuple[str, ...] = ()
    is_whole: bool = True

    @property
    def n_ctx(self) -> int | None:
        """The context that was said, in tokens; None for none, or for the model's own."""
        given = self.knobs.get("n_ctx")
        return None if given is None else _number(given, self.where) or None

    def with_(self, **knobs: Any) -> Self:
        """The same with these knobs said too."""
        return replace(self, knobs={**self.knobs, **knobs})

    def on_devices(self, names: str | None) -> Self:
        """The same on the cards that --device names, as `CUDA1,CUDA0`, or `none`; itself where it
        is not given. ConfigError for what names no card of CUDA's."""
        if names is None:
            return self
        if names.strip().lower() == "none":
            return replace(self.with_(n_devices=0), devices=())
        found = tuple(name.strip().upper() for name in names.split(","))
        if not all(re.fullmatch("CUDA[0-9]{1,2}", name) for name in found):
            raise ConfigError(
                f"--device is {names[:60]!r}; it takes names as CUDA1,CUDA0, or none for no card"
            )
        return replace(self, devices=found, n_cards=len(found))

    def beside(self, **files: str | None) -> Self:
        """The same with these files loaded beside the model, those that are named."""
        named = {name: file for name, file in files.items() if file}
        return replace(self, files={**self.files, **named})

    def of_build(self, build: int | None) -> Self:
        """The same for a build of llama.cpp, None for 0.5.0; its --fit is known of that one."""
        if build is None or self.fit is None:
            return self
        remark = f"--fit is known of llama.cpp 0.5.0: build {build} is asked as if it were off."
        return replace(self, fit=None, remarks=(*self.remarks, remark))

    def or_else(self, **knobs: Any) -> Self:
        """The same with these knobs where nothing was said of them."""
        return replace(self, knobs={**knobs, **self.knobs})

    @property
    def n_devices(self) -> int | None:
        """The number of cards that was said; None for none."""
        given = self.knobs.get("n_devices")
        if given is None:
            return None
        return RunConfig.from_mapping({"n_devices": given}, where=self.where).n_devices

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of tensor_split that were said, none where it was left out; ConfigError for
        what divides nothing."""
        split = self.knobs.get("tensor_split")
        if isinstance(split, str):
            split = split.replace("/", ",")
        if not split:
            return ()
        read = RunConfig.from_mapping({"tensor_split": split}, where=self.where)
        if not any(shares := read.tensor_split or ()):
            raise ConfigError(
                f"{self.where}: tensor_split is {str(split)[:80]}, which gives no card a layer; "
                "give each card its share, as 3,1"
            )
        return shares

    def config(self, model: ModelSpec, memory_bytes: int | None = None) -> RunConfig:
        """The configuration that the program makes of it; `memory_bytes` of a card, which one
        program chooses its context by. ConfigError, which says where the knobs were given, for
        those that cannot be."""
        facts = PROGRAMS[self.program]
        given = {name: value for name, value in self.knobs.items() if not _is_auto(name, value)}
        n_cards = self.n_cards or len(self.shares)  # a share for each card
        if n_cards:
            given = {"n_devices": n_cards} | given
        knobs = defaults_of(self.program) | given
        base = RunConfig.from_mapping({**knobs, "n_ctx": 1}, where=self.where)
        knobs["n_ctx"] = self._context(facts, base, model, memory_bytes)
        if self.knobs.get("kv_unified") is None:
            counted = "n_seq_max" in given
            knobs["kv_unified"] = facts.shares == "always" or (
                facts.shares == "uncounted" and not counted
            )
        if not {"n_batch", "n_ubatch"} & self.knobs.keys():
            size = facts.batch(knobs["n_ctx"] // base.n_seq_max)
            knobs |= {} if size is None else {"n_batch": size, "n_ubatch": size}
        config = RunConfig.from_mapping(knobs, where=self.where)
        return config if facts.keeps == "batch" else _served(config)

    def _context(
        self, facts: ProgramFacts, base: RunConfig, model: ModelSpec, memory_bytes: int | None
    ) -> int:
        """n_ctx as llama.cpp is given it."""
        own = native_context(model)
        if (said := self.knobs.get("n_ctx")) is None:
            n_ctx = facts.context(memory_bytes) or own
            n_ctx += base.n_depth if facts.adds_depth else 0
        else:
            n_ctx = _number(said, self.where) or own
        n_ctx = min(n_ctx, own) if facts.is_capped else n_ctx
        return (n_ctx + facts.added_context) * (base.n_seq_max if facts.counts_per_slot else 1)


def _served(config: RunConfig) -> RunConfig:
    """The configuration as llama-server passes it on: logits for a token per slot and each that was
    drafted, and a batch that is one micro-batch, all of whose tokens are results, where these are
    embeddings (tools/server/server.cpp, server_output_limits)."""
    n_outputs = config.n_verified
    if config.embeddings:
        config = config.with_(n_batch=min(config.n_batch, config.n_ubatch))
    if config.embeddings or config.pooling not in (None, "none"):
        n_outputs = config.n_batch
    return config.with_(n_outputs_max=config.n_outputs_max or n_outputs)


def checked_program(text: str) -> Program:
    """The program of that name, however it is written; ConfigError with the names there are."""
    name = text.strip().lower().replace("_", "-").replace(" ", "-")
    if name not in PROGRAMS:
        raise ConfigError(
            f"{text!r} is no program that oomph knows; --as takes {', '.join(PROGRAMS)}"
        )
    return cast(Program, name)


def _is_auto(knob: str, value: Any) -> bool:
    """Whether it leaves the number of slots to the program: llama-server's `-np -1`."""
    return knob == "n_seq_max" and value in (-1, "-1", "auto")


def _number(n_ctx: Any, where: str) -> int:
    """A context that was said; 0 is the model's own. ConfigError for what is none."""
    if n_ctx in (MODEL_CONTEXT, str(MODEL_CONTEXT)) and not isinstance(n_ctx, bool):
        return 0
    return RunConfig.from_mapping({"n_ctx": n_ctx}, where=where).n_ctx
