"""The whole of a conversation on disk, and the search in it: one SQLite file.

Stands apart because it is what must survive: a question is on the disk before the model sees it, an
answer when it is finished, each in a transaction of its own. Relevance is BM25, by SQLite's FTS5;
its `unicode61` folds case in every script, and words are sought by their beginnings, since neither
Russian nor English keeps a word's ending.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from oomph.chat.budget import Exchange
from oomph.errors import ConfigError, StoreError
from oomph.paths import cache_folder

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS exchanges (
    id INTEGER PRIMARY KEY, question TEXT NOT NULL, answer TEXT, n_tokens INTEGER NOT NULL,
    asked_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE TABLE IF NOT EXISTS memory (upto_id INTEGER NOT NULL, summary TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, note TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE IF NOT EXISTS exchange_words
    USING fts5(question, answer, tokenize = 'unicode61');
CREATE VIRTUAL TABLE IF NOT EXISTS note_words USING fts5(note, tokenize = 'unicode61');
"""
_LEAST_STEM: Final = 4
_MOST_FOUND: Final = 50
RELEVANT: Final = 0.5
"""Of the best exchange's score, what another needs to be put back."""


class History:
    """The conversation in the file at `path`, which is made where it is missing."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        try:
            if path != ":memory:":
                _keep_private(Path(path))
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(
                f"{path} is no history of a conversation ({error}); name another file"
            ) from None
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written ({error.strerror}); name another file with --history"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def ask(self, question: str) -> int:
        """Keep a question; its number."""
        with self._transaction():
            row = self._db.execute(
                "INSERT INTO exchanges (question, n_tokens) VALUES (?, 0)", (question,)
            )
        assert row.lastrowid is not None
        return row.lastrowid

    def answer(self, number: int, answer: str, *, n_tokens: int) -> None:
        """Keep the answer to a question, and make both findable."""
        with self._transaction():
            self._db.execute(
                "UPDATE exchanges SET answer = ?, n_tokens = ? WHERE id = ?",
                (answer, n_tokens, number),
            )
            self._db.execute("DELETE FROM exchange_words WHERE rowid = ?", (number,))
            self._db.execute(
                "INSERT INTO exchange_words (rowid, question, answer) SELECT id, question, answer "
                "FROM exchanges WHERE id = ?",
                (number,),
            )

    def finished(self, *, after: int = 0) -> list[Exchange]:
        """The exchanges with an answer, in their order."""
        rows = self._db.execute(
            "SELECT id, question, answer, n_tokens FROM exchanges WHERE answer IS NOT NULL AND id "
            "> ? ORDER BY id",
            (after,),
        )
        return [_exchange(row) for row in rows]

    def unanswered(self) -> str | None:
        """The last question, if what ended the program ended it before the answer."""
        row = self._db.execute(
            "SELECT question, answer FROM exchanges ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return row[0] if row and row[1] is None else None

    def relevant(self, question: str, *, before: int) -> list[Exchange]:
        """Finished exchanges numbered below `before` that share words with the question, the most
        relevant first: those that score half as much as the best, or more. What shares only common
        words would crowd out the rest."""
        rows = self._db.execute(
            "SELECT e.id, e.question, e.answer, e.n_tokens, bm25(exchange_words) AS score"
            " FROM exchange_words JOIN exchanges e ON e.id = exchange_words.rowid"
            " WHERE exchange_words MATCH ? AND e.id < ? ORDER BY score, e.id DESC LIMIT ?",
            (match_any(question), before, _MOST_FOUND),
        ).fetchall()
        # bm25() is negative
        return [_exchange(row[:4]) for row in rows if row[4] <= RELEVANT * rows[0][4]]

    def relevant_notes(self, question: str) -> list[str]:
        """Notes that share words with the question, the most relevant first."""
        rows = self._db.execute(
            "SELECT note FROM note_words WHERE note_words MATCH ? ORDER BY bm25(note_words) LIMIT "
            "?",
            (match_any(question), _MOST_FOUND),
        )
        return [row[0] for row in rows]

    @property
    def memory(self) -> tuple[int, str]:
        """The running memory and the number of the last exchange that is in it."""
        row = self._db.execute(
            "SELECT upto_id, summary FROM memory ORDER BY upto_id DESC LIMIT 1"
        ).fetchone()
        return row or (0, "")

    def remember(self, summary: str, *, upto: int) -> None:
        """Keep a new running memory, and each line of it as a note; earlier ones stay in the
        file."""
        with self._transaction():
            self._db.execute("INSERT INTO memory (upto_id, summary) VALUES (?, ?)", (upto, summary))
            for note in filter(None, (line.strip(" -*•\t") for line in summary.splitlines())):
                added = self._db.execute("INSERT OR IGNORE INTO notes (note) VALUES (?)", (note,))
                if added.rowcount:
                    self._db.execute("INSERT INTO note_words (note) VALUES (?)", (note,))

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)


class _Transaction:
    """Commits at its end or leaves nothing; sqlite3's own context manager begins none in this
    mode."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._db.execute("COMMIT")
        else:
            with suppress(sqlite3.Error):  # a full disk may have ended it already
                self._db.execute("ROLLBACK")


def _keep_private(path: Path) -> None:
    """Let nobody else read what was said: SQLite gives its other files the same permissions."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.chmod(path, 0o600)
    finally:
        os.close(descriptor)


def _exchange(row: tuple[int, str, str, int]) -> Exchange:
    number, question, answer, n_tokens = row
    return Exchange(id=number, question=question, answer=answer, n_tokens=n_tokens)


def match_any(text: str) -> str:
    """An FTS5 query for any of the text's words, quoted, so that no word is taken for an operator.

    Of a word longer than four letters all but the last two are sought, as a beginning.
    """
    return " OR ".join(dict.fromkeys(_terms(text))) or '""'


def _terms(text: str) -> Iterator[str]:
    for word in re.findall(r"\w+", text.lower()):
        stem = word if word.isdigit() else word[: max(len(word) - 2, _LEAST_STEM)]
        yield f'"{word}"' if stem == word else f'"{stem}"*'


@contextmanager
def open_history(path: Path | None, *, resume: bool) -> Iterator[tuple[History, Path]]:
    """The conversation kept in `path`, or a new one in the cache, and where it is.

    ConfigError where there is nothing to resume, or a conversation in the way.
    """
    if resume and (path is None or not path.exists()):
        raise ConfigError(
            "--resume goes on with a conversation: name its file with --history, which must be "
            "there"
        )
    path = path or cache_folder() / "chats" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"{path.parent} cannot be made ({error.strerror}); name another file with --history"
        ) from None
    with History(path) as kept:
        if not resume and kept.finished():
            raise ConfigError(
                f"{path} holds a conversation already; go on with it by --resume, or name another "
                "file"
            )
        try:
            yield kept, path
        except sqlite3.Error as error:
            raise StoreError(
                f"{path} cannot be read or written ({error}); what was said before is in it"
            ) from None
