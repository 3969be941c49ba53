"""A text as a shell reads it, with nothing run: commands of words, each with its variables.

POSIX shells, PowerShell and cmd: quotes, line continuations, comments, assignments. A variable is
replaced where the text itself assigns it; nothing is taken from this process's environment.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.programs.pasted import WHERE

LONGEST: Final = 1 << 16
"""Characters of a text; a longer one is no command line."""
_TYPOGRAPHY: Final = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "\u00a0": " "})
_DASHES: Final = re.compile(r"(?m)(?<!\S)(?:—|–(?=[a-z]{3}))|(?<!\S)–")
_WINDOWS: Final = re.compile(r"(?i)\.exe\b|\b[a-z]:\\|`\s*\n|\$env:|\^\s*\n")
ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_ASSIGNED: Final = re.compile(r"\$(?:env:)?([A-Za-z_]\w*)$", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::-([^{}]*))?\}|([A-Za-z_]\w*))")
_BREAK: Final = "\n"
_LITERAL: Final = "\ue000"
"""A dollar within single quotes, which begins no variable."""
_REDIRECTION: Final = re.compile(r"\d?(?:>>?|<)(?:&\d)?|&>>?")


@frozen
class Command:
    """The words of one command, and the variables that stand before it."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def read_commands(text: str) -> list[Command]:
    """The commands of a text, in order. ConfigError for one that is too long, or a quote that is
    never closed."""
    plain = straightened(text)
    commands, variables = list[Command](), dict[str, str]()
    room = 4 * LONGEST
    for words in _split(plain):
        filled = [_filled(word, variables) for word in words]
        room -= sum(map(len, filled))
        if room < 0:
            raise ConfigError(f"{WHERE}: its variables make too long a command line of it")
        command = _command(filled, variables)
        if command.words:
            commands.append(command)
    return commands


def straightened(text: str) -> str:
    """`text` with the quotes and dashes that a word processor bent made plain; ConfigError where it
    is too long."""
    if len(text) > LONGEST:
        raise ConfigError(
            f"{WHERE}: {len(text):,} characters are no command line; {LONGEST:,} is the most"
        )
    text = text.replace("\r\n", "\n").replace("\x00", "").replace(_LITERAL, "")
    text = re.sub(r"(?m)^[ \t]*```.*$", "", text.translate(_TYPOGRAPHY))
    return _DASHES.sub(lambda match: "--" if match[0] == "—" else "-", text)


def _command(words: list[str], variables: dict[str, str]) -> Command:
    """The words without the assignments before them; an assignment that stands alone (`export A=B`,
    `set A=B`, `$env:A = "B"`) is kept in `variables` for the commands after it."""
    if len(words) >= 3 and words[1] == "=" and (match := _ASSIGNED.match(words[0])):
        variables[match[1]] = words[2]
        return Command(words=())
    declares = bool(words) and words[0].lower() in ("export", "set", "declare", "local", "setx")
    own, rest = dict[str, str](), words[1:] if declares else list(words)
    while rest and (match := ASSIGNMENT.fullmatch(rest[0].removeprefix("$env:"))):
        own[match[1]] = match[2]
        rest.pop(0)
    if (declares and own) or not rest:
        variables |= own
        return Command(words=())
    return Command(words=tuple(words if declares else rest), environment={**variables, **own})


def _filled(word: str, variables: Mapping[str, str]) -> str:
    """A word with the text's own variables in it, and the value of `${NAME:-value}`."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        return variables.get(name, match[2] if match[2] is not None else match[0])

    filled = _VARIABLE.sub(value, word).replace(_LITERAL, "$")
    return filled[:LONGEST]


def _split(text: str) -> Iterator[list[str]]:
    """The words of each command. A line that begins with a dash goes on with the one before it."""
    words, skips = list[str](), False
    for token, is_quoted in _tokens(text):
        if is_quoted or token not in (_BREAK, ";", "|", "&"):
            if skips:
                skips = False
            elif not is_quoted and _REDIRECTION.match(token):
                skips = _REDIRECTION.fullmatch(token) is not None and "&" not in token
            elif token not in ("$@", "$*", "%*"):
                words.append(token)
        elif words:
            yield words
            words, skips = [], False
    if words:
        yield words


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Words and marks that part commands, each with whether it was quoted."""
    is_windows = _WINDOWS.search(text) is not None
    text = re.sub(r"[`\\^][ \t]*\n" if is_windows else r"\\[ \t]*\n", " ", text)
    text = re.sub(r"\n[ \t]*(?=-)", " ", _uncommented(text))
    word, is_started, is_quoted, at = list[str](), False, False, 0
    while at < len(text):
        character = text[at]
        at += 1
        is_break = character in " \t\n;" or (character in "|&" and not _is_inside(text, at))
        if character == "#" and not is_started:
            at = (text + "\n").index("\n", at)
        elif is_break:
            if is_started:
                yield "".join(word), is_quoted
            if character not in " \t":
                yield _BREAK, False
            word, is_started, is_quoted = [], False, False
        else:
            if character in "\"'":
                is_quoted = True
                part, at = _quoted(text, at)
            elif character == "\\" and not is_windows and at < len(text):
                part, at = text[at], at + 1
            else:
                part = character
            word.append(part)
            is_started = True
    if is_started:
        yield "".join(word), is_quoted


def _quoted(text: str, at: int) -> tuple[str, int]:
    """What stands up to the quote that closes the one before `at`, and where that ends."""
    quote, part = text[at - 1], list[str]()
    while at < len(text):
        character = text[at]
        at += 1
        if character == quote:
            return "".join(part), at
        if character == "\\" and quote == '"' and text[at : at + 1] in ('"', "\\", "$"):
            character = text[at].replace("$", _LITERAL)
            at += 1
        elif (character, quote) == ("$", "'"):
            character = _LITERAL
        part.append(character)
    raise ConfigError(f"{WHERE}: a quote {quote} is never closed")


def _is_inside(text: str, at: int) -> bool:
    """Whether the | or & before `at` stands in a word: of a pattern, or of a redirection."""
    before, after = text[at - 2 : at - 1], text[at : at + 1]
    return bool(before.strip() and after.strip()) and "&|" not in (before, after)


def _uncommented(text: str) -> str:
    """Without the lines that are comments, for a shell (#), cmd (rem, ::) or a prompt's sign."""
    lines = []
    for line in text.split("\n"):
        bare = line.lstrip()
        if not bare.startswith(("#", "::")) and not bare.lower().startswith("rem "):
            lines.append(re.sub(r"^\s*(?:\$|>|PS [^>]*>)\s+", "", line))
    return "\n".join(lines)
