"""A models preset of llama-server (INI): a section's keys as the words of a command line."""

import re
from typing import Final

from oomph.programs.flags import OFF, by_spelling, by_variable
from oomph.programs.pasted import Collected, shortened

_SECTION: Final = re.compile(r"^\s*\[([^\]\n]+)\]\s*$")
_ROW: Final = re.compile(r"^\s*([A-Za-z][\w.-]*)[ \t]*=(.*)$")
_ALL: Final = "*"


def is_preset(text: str) -> bool:
    """Whether a text has sections and rows, and no command."""
    lines = [line for line in text.split("\n") if line.strip()]
    known = [line for line in lines if _SECTION.match(line) or _ROW.match(line)]
    has_section = any(_SECTION.match(line) for line in lines)
    rest = [line for line in lines if line not in known and line.lstrip()[0] not in "#;"]
    return has_section and not rest and "ExecStart" not in text


def preset_words(text: str, into: Collected) -> list[str]:
    """The words that the first section's rows stand for, over those of `[*]`; the section names the
    model where no row does."""
    sections, name = dict[str, dict[str, str]](), _ALL
    for line in text.split("\n"):
        if section := _SECTION.match(line):
            name = section[1].strip()
            sections.setdefault(name, {})
        elif row := _ROW.match(line.partition("#")[0].partition(";")[0]):
            sections.setdefault(name, {})[row[1]] = row[2].strip()
    common = sections.pop(_ALL, {})
    named = next(iter(sections), "")
    if len(sections) > 1:
        into.notes.append(f"Of several sections the answer is of [{shortened(named)}].")
    rows = {**common, **sections.get(named, {})}
    if ":" in named and not {"model", "m", "hf-repo", "hf", "LLAMA_ARG_MODEL"} & rows.keys():
        into.model = named
    return [word for key, value in rows.items() for word in _words(key, value)]


def _words(key: str, value: str) -> list[str]:
    """A row as words: a long or short flag without its dashes, or a variable's name."""
    if key in by_variable():
        flag, is_on = by_variable()[key]
        spelled = flag.spellings[-1]
    else:
        written = key.replace("_", "-")
        spelled = next((each for each in (f"--{written}", f"-{key}") if each in by_spelling()), "")
        if not spelled:
            return [f"--{written}", value]
        flag, is_on = by_spelling()[spelled]
    if flag.value:
        return [spelled, value]
    if value.lower() not in OFF:
        return [spelled]
    opposite = flag.negative if is_on else flag.spellings
    return [opposite[-1]] if opposite else []
