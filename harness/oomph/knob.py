"""What is declared of a knob: the values it takes, what it sets, how programs spell it."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from oomph.frozen import frozen

Part = Literal["model", "context", "work"]
Memory = Literal["same", "grows", "none"]
Program = Literal[
    "llama-server",
    "llama-cli",
    "llama-bench",
    "llama-cpp-python",
    "ollama",
    "lm-studio",
    "koboldcpp",
    "text-generation-webui",
]


@frozen
class Knob:
    """The declaration that stands at a field of RunConfig; whoever spells, reads, sets or compares
    knobs goes by it.

    `part` is whose it is: of llama_model_params (a change means loading again), of
    llama_context_params, or of the work that is done with both. `memory` is what memory does as it
    grows: it grows too, cannot be told, or does not depend on it.

    `choices` are the words that it takes, with their numbers in llama.cpp's enumeration, whose
    names begin with `enumeration`; `words` are other spellings of them, `all_words` mean -1.
    `least` is the smallest number. `sets` are the fields of llama_*_params that take its value as
    it is, or its reciprocal.

    `options` are oomph's own, a switch's as typer has them ("--a/--no-a"); `is_negated` where every
    program has a switch for what is on by default ("--no-kv-offload"), and `is_repeated` where an
    option may be given several times. `keys` are other programs' names of it, without dashes, and
    `defaults` the values that they have by themselves, where not RunConfig's. `bench` is the field
    of llama-bench's JSON, `bench_column` the column of its Markdown. `is_logged` says that
    llama.cpp prints "llama_context: NAME = VALUE".

    `is_tabled`: a report has a column for it where it varies. `is_later`: it came after records had
    been published, so that it is spelled only where it is not at its default, and a point keeps the
    id that it had.
    """

    part: Part
    memory: Memory = "same"
    least: int | None = None
    choices: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    enumeration: str = ""
    all_words: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    is_reciprocal: bool = False
    options: tuple[str, ...] = ()
    help: str | None = None
    is_negated: bool = False
    is_repeated: bool = False
    keys: Mapping[Program, str] = field(default_factory=dict)
    defaults: Mapping[Program, Any] = field(default_factory=dict)
    bench: str | None = None
    bench_column: str | None = None
    is_logged: bool = False
    is_tabled: bool = False
    is_later: bool = False

    def number(self, value: Any) -> Any:
        """`value` as llama.cpp's C interface takes it: the number of a word, the reciprocal of a
        factor."""
        if self.is_reciprocal:
            return 1 / value
        return self.choices.get(value, value) if self.choices else value
