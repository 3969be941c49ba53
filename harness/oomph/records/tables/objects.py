"""JSON objects in any text, whole ones though the text around them is cut.

A file may be one array, an object a line, a few pasted into prose, or end in the middle. Each
object that is complete and lies in no complete one is given; what was begun and never ended is
named.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from oomph.foreign import parse_json
from oomph.records.tables.found import MAX_ROWS, Problem, quoted

DEEPEST: Final = 64
MOST_PROBLEMS: Final = 1_000
_BEGINS: Final = re.compile(r'\{\s{0,40}"')
_TOKEN: Final = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*){0,10000}"?|[{}\[\]\n]')
"""A text ends at its line's end at the latest: it was cut, and what follows in the line with it."""


@dataclass(frozen=True, slots=True)
class Span:
    """An object's place in the text: its first and its last line, from 0, and its characters.

    `is_piece` says that it was a part of an object that is cut.
    """

    first: int
    last: int
    start: int
    end: int
    is_piece: bool = False


def read_objects(text: str) -> tuple[list[tuple[Span, dict[str, Any]]], list[Problem]]:
    """The objects with their places, and what is named of the rest."""
    scan = _scanned(text)
    found, problems = [], scan.problems
    for span in scan.spans:
        try:
            value = parse_json(text[span.start : span.end])
        except ValueError as error:
            if len(problems) < MOST_PROBLEMS and '"' in text[span.start : span.start + 80]:
                why = f"an object that is no JSON ({str(error)[:80]})"
                problems.append(Problem(line=span.first + 1, why=why))
        else:
            if value:
                found.append((span, value))
    return found, problems


@dataclass(slots=True)
class _Open:
    """A bracket that waits for its end."""

    kind: str
    start: int
    line: int
    begins_line: bool


class _Scan:
    """Brackets from the first to the last, and what they close."""

    def __init__(self, text: str) -> None:
        self.spans: list[Span] = []
        self.problems: list[Problem] = []
        self._text = text
        self._waiting: list[_Open] = []

    def open(self, bracket: _Open) -> None:
        """A bracket is opened; an object that begins a line ends one that began so before it: that
        was cut."""
        if bracket.kind == "{" and bracket.begins_line:
            outer = (at for at, each in enumerate(self._waiting) if each.kind == "{")
            first = next((at for at in outer if self._waiting[at].begins_line), None)
            if first is not None:
                self._abandon(self._waiting[first])
                self._name(self._waiting[first])
                del self._waiting[first:]
        self._waiting.append(bracket)
        if len(self._waiting) > DEEPEST:
            self._waiting.clear()

    def close_object(self, line: int, end: int) -> None:
        """The innermost object is complete, and those in it are parts of it."""
        while self._waiting and self._waiting[-1].kind == "[":
            self._waiting.pop()  # an array that was cut inside an object: the object is no JSON
        if not self._waiting:
            return
        begun = self._waiting.pop()
        while self.spans and self.spans[-1].start > begun.start:
            self.spans.pop()
        self.spans.append(Span(begun.line, line, begun.start, end))

    def close_array(self) -> None:
        """The innermost bracket is closed if it is an array's."""
        if self._waiting and self._waiting[-1].kind == "[":
            self._waiting.pop()

    def end(self) -> None:
        """The text is over: the innermost object that waits was cut, the others hold it."""
        waiting = [each for each in self._waiting if each.kind == "{"]
        if waiting:
            self._name(waiting[-1])
            self._abandon(waiting[0])

    def _abandon(self, bracket: _Open) -> None:
        """What was complete inside an object that is cut is a piece of it."""
        for at in range(len(self.spans) - 1, -1, -1):
            if self.spans[at].start < bracket.start or self.spans[at].is_piece:
                return
            self.spans[at] = replace(self.spans[at], is_piece=True)

    def _name(self, bracket: _Open) -> None:
        rest = self._text[bracket.start : bracket.start + 400]
        if len(self.problems) < MOST_PROBLEMS and _BEGINS.match(rest):
            why = f"an object that is cut: {quoted(rest)}"
            self.problems.append(Problem(line=bracket.line + 1, why=why))


def _scanned(text: str) -> _Scan:
    scan = _Scan(text)
    line, line_start = 0, 0
    for token in _TOKEN.finditer(text):
        mark, at = token[0], token.start()
        if len(scan.spans) >= MAX_ROWS:
            break
        if mark == "\n":
            line, line_start = line + 1, at + 1
        elif mark in "{[":
            scan.open(_Open(mark, at, line, at == line_start))
        elif mark == "}":
            scan.close_object(line, at + 1)
        elif mark == "]":
            scan.close_array()
    scan.end()
    return scan
