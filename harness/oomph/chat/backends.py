"""Two models a conversation can be held with: one in this process, or a llama-server.

The seam is small on purpose: count tokens, and stream an answer to messages.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, Protocol

from oomph.chat.budget import Message
from oomph.chat.ending import Pieces, Why, template_marks
from oomph.errors import ConfigError, ModelFileError
from oomph.foreign import parse_json
from oomph.foreign_text import whole, without_password
from oomph.models.demo import demo_model
from oomph.web import split_login, web_opener, within

TIMEOUT_S: Final = 600.0
"""A long prompt on a slow machine says nothing for minutes."""
REPLY_S: Final = 60.0
ANSWER_S: Final = 4 * 3600.0
"""An answer of 8,000 tokens at one token per second takes two hours and more."""
LONGEST_REPLY: Final = 1 << 26
"""Bytes: a prompt of a million tokens, as JSON's numbers."""
LONGEST_LINE: Final = 1 << 20
LONGEST_TOKEN: Final = 256
"""Characters; a vocabulary's longest are runs of some 128 blanks."""


class ChatBackend(Protocol):
    """A model to talk to, with room for `n_ctx` tokens."""

    @property
    def n_ctx(self) -> int:
        """Tokens of prompt and answer together."""

    @property
    def marks(self) -> tuple[str, ...]:
        """What the model's chat template puts around turns: an answer ends before it."""

    def count(self, text: str) -> int:
        """The text's tokens, without what a chat template puts around it."""

    def stream(self, messages: Sequence[Message], *, n_answer: int) -> Iterator[str]:
        """The answer, piece by piece, `n_answer` tokens at most; a generator that returns "limit"
        where that many did not reach its end."""


class LocalBackend:
    """A GGUF file, run by llama-cpp-python, which keeps the cells of a prompt's unchanged
    beginning."""

    def __init__(
        self, path: Path, *, n_ctx: int, temperature: float = 0.7, n_threads: int | None = None
    ) -> None:
        from llama_cpp import Llama

        self.n_ctx, self._temperature = n_ctx, temperature
        try:
            self._llama = Llama(
                str(path),
                n_ctx=n_ctx,
                n_gpu_layers=-1,
                n_threads=n_threads,
                n_threads_batch=n_threads,
                verbose=False,
            )
        # llama-cpp-python's own way to say that llama.cpp returned NULL
        except ValueError as error:
            raise ModelFileError(
                f"{path} cannot be run with n_ctx {n_ctx} ({error}); `oomph estimate` says what "
                "it takes"
            ) from None

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of the file's own template."""
        return template_marks(self._llama.metadata.get("tokenizer.chat_template"))

    def count(self, text: str) -> int:
        """The text's tokens."""
        return len(self._llama.tokenize(text.encode(), add_bos=False, special=False))

    def stream(self, messages: Sequence[Message], *, n_answer: int) -> Pieces:
        """The answer, piece by piece."""
        said: Any = self._llama.create_chat_completion(
            [{"role": message.role, "content": message.content} for message in messages],  # type: ignore[misc]
            max_tokens=n_answer,
            temperature=self._temperature,
            stream=True,
        )
        why: Why = "end"
        for piece in said:
            choice = piece["choices"][0]
            yield choice["delta"].get("content") or ""
            why = "limit" if choice.get("finish_reason") == "length" else why
        return why


class ServerBackend:
    """A llama-server at `url`; ConfigError where none answers there, or not as one does."""

    def __init__(self, url: str, *, n_ctx: int | None = None, temperature: float = 0.7) -> None:
        self._shown = without_password(url.rstrip("/").removesuffix("/v1"))
        try:
            self._url, self._login = split_login(url.rstrip("/").removesuffix("/v1"))
        except ValueError:  # an unclosed bracket in the host
            raise ConfigError(f"{self._shown} is no address; check --url") from None
        self._temperature, self._opener = temperature, web_opener()
        told = self._ask("/props")
        self.marks = template_marks(*_texts(told, "chat_template", "eos_token"))
        slot = self._slot(told)
        if n_ctx is not None and n_ctx > slot:
            raise ConfigError(
                f"--n-ctx is {n_ctx}, and a slot of {self._shown} has {slot}; start it with a "
                "larger -c"
            )
        self.n_ctx = n_ctx or slot

    def count(self, text: str) -> int:
        """The text's tokens."""
        told = self._ask("/tokenize", {"content": text, "parse_special": False})
        tokens = told.get("tokens") if isinstance(told, dict) else None
        if not isinstance(tokens, list) or len(tokens) > 4 * len(text) + 16:
            raise self._no_server("/tokenize brings no tokens")
        return len(tokens)

    def stream(self, messages: Sequence[Message], *, n_answer: int) -> Pieces:
        """The answer, piece by piece; closing the iterator closes the connection, and the server
        stops. It ends where the server sends more than an answer of `n_answer` tokens can be."""
        asked = {
            "messages": [
                {"role": message.role, "content": message.content} for message in messages
            ],
            "max_tokens": n_answer,
            "temperature": self._temperature,
            "stream": True,
            "cache_prompt": True,
        }
        room = n_answer * LONGEST_TOKEN
        with self._said("/v1/chat/completions"):
            answer = within(TIMEOUT_S, lambda: self._open("/v1/chat/completions", asked))
        with answer:
            for line in self._lines(answer):
                for piece, finish in _pieces(line):
                    yield piece[:room]
                    room -= len(piece)
                    if room <= 0 or finish == "length":
                        return "limit"
        return "end"

    def _lines(self, answer: Any) -> Iterator[bytes]:
        """The lines that come; a line is bounded, and so is the time that all of them take."""
        until, parts, n_bytes = time.monotonic() + ANSWER_S, list[bytes](), 0
        with self._said("/v1/chat/completions"):
            while piece := answer.read1(LONGEST_LINE):
                if time.monotonic() > until:
                    raise TimeoutError(f"no end after {ANSWER_S:.0f} s")
                parts.append(piece)
                n_bytes += len(piece)
                if b"\n" in piece or n_bytes >= LONGEST_LINE:
                    *lines, rest = b"".join(parts).split(b"\n")
                    yield from lines
                    parts, n_bytes = ([rest], len(rest)) if len(rest) < LONGEST_LINE else ([], 0)
        yield b"".join(parts)

    def _slot(self, told: Any) -> int:
        """Tokens of a slot, as `/props` says."""
        settings = told.get("default_generation_settings") if isinstance(told, dict) else None
        n_ctx = settings.get("n_ctx") if isinstance(settings, dict) else None
        if not isinstance(n_ctx, int) or isinstance(n_ctx, bool) or not 0 < n_ctx < 1 << 31:
            raise self._no_server("/props does not say how long a slot's context is")
        return n_ctx

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON that answers, within a minute and LONGEST_REPLY bytes."""
        with self._said(path):
            return within(REPLY_S, lambda: self._read(path, body))

    def _read(self, path: str, body: dict[str, Any] | None) -> Any:
        with self._open(path, body) as answer:
            read = answer.read(LONGEST_REPLY + 1)
        if len(read) > LONGEST_REPLY:
            raise ValueError("its answer does not end")
        return parse_json(read)

    def _open(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"} | self._login
        )
        return self._opener.open(request, timeout=TIMEOUT_S)

    @contextmanager
    def _said(self, path: str) -> Iterator[None]:
        """What goes wrong in the block as one sentence."""
        try:
            yield
        except urllib.error.HTTPError as error:
            said = _beginning(error)
            raise ConfigError(
                f"{self._shown}{path} answers {error.code}: {said}; is it a llama-server?"
            ) from None
        except (OSError, ValueError, HTTPException) as error:
            raise self._no_server(str(error)[:200] or type(error).__name__) from None

    def _no_server(self, why: str) -> ConfigError:
        return ConfigError(f"no llama-server answers at {self._shown} ({why}); check --url")


def _beginning(error: urllib.error.HTTPError) -> str:
    """How the body of a refusal begins; nothing where the connection broke, or drips."""
    try:
        return within(REPLY_S, lambda: error.read(500)).decode(errors="replace")
    except (OSError, HTTPException):
        return "nothing"


def _texts(told: Any, *names: str) -> Iterator[str]:
    """Those fields of a reply that are text."""
    if isinstance(told, dict):
        yield from (told[name] for name in names if isinstance(told.get(name), str))


def _pieces(line: bytes) -> Iterator[tuple[str, object]]:
    """What a line of the stream adds to the answer, and why it finishes it: nothing, where it is no
    event of it."""
    if not line.startswith(b"data: "):
        return
    try:
        event = parse_json(line.removeprefix(b"data: "))
        for choice in event["choices"]:
            piece, finish = choice["delta"].get("content"), choice.get("finish_reason")
            yield whole(piece) if isinstance(piece, str) else "", finish
    except (ValueError, LookupError, TypeError, AttributeError):
        return  # [DONE], or a server that speaks otherwise


def open_backend(
    model: str | None, url: str | None, *, n_ctx: int | None = None, temperature: float = 0.7
) -> ChatBackend:
    """A model's file (or `demo`), or a running llama-server; ConfigError unless one of the two is
    named."""
    if (model is None) == (url is None):
        raise ConfigError("name a model or give --url, one of the two")
    if url is not None:
        return ServerBackend(url, n_ctx=n_ctx, temperature=temperature)
    path = demo_model() if model == "demo" else Path(str(model))
    return LocalBackend(path, n_ctx=n_ctx or 4096, temperature=temperature)
