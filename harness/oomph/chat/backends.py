"""Two models a conversation can be held with: one in this process, or a llama-server.

The seam is small on purpose: count tokens, and stream an answer to messages.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from oomph.chat.budget import Message
from oomph.config import COUNTED
from oomph.errors import ConfigError, ModelFileError
from oomph.foreign import parse_json
from oomph.models.demo import demo_model

TIMEOUT_S: Final = 600.0
"""A long prompt on a slow machine says nothing for minutes."""
SHORT_ANSWER_S: Final = 60.0
"""How long anything but a completion may take, however slowly it drips."""
ANSWER_S: Final = 3600.0
MAX_LINE_BYTES: Final = 1 << 20
MAX_ANSWER_BYTES: Final = 64 << 20


class ChatBackend(Protocol):
    """A model to talk to, with room for `n_ctx` tokens."""

    @property
    def n_ctx(self) -> int:
        """Tokens of prompt and answer together."""

    def count(self, text: str) -> int:
        """The text's tokens, without what a chat template puts around it."""

    def stream(self, messages: Sequence[Message], *, n_answer: int) -> Iterator[str]:
        """The answer, piece by piece, `n_answer` tokens at most."""


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

    def count(self, text: str) -> int:
        """The text's tokens."""
        return len(self._llama.tokenize(text.encode(), add_bos=False, special=False))

    def stream(self, messages: Sequence[Message], *, n_answer: int) -> Iterator[str]:
        """The answer, piece by piece."""
        said: Any = self._llama.create_chat_completion(
            [{"role": message.role, "content": message.content} for message in messages],  # type: ignore[misc]
            max_tokens=n_answer,
            temperature=self._temperature,
            stream=True,
        )
        for piece in said:
            yield piece["choices"][0]["delta"].get("content") or ""


class ServerBackend:
    """A llama-server at `url`; ConfigError where none answers there."""

    def __init__(self, url: str, *, n_ctx: int | None = None, temperature: float = 0.7) -> None:
        self._url, self._temperature = url.rstrip("/").removesuffix("/v1"), temperature
        settings = self._answer("/props").get("default_generation_settings")
        slot = settings.get("n_ctx") if isinstance(settings, dict) else None
        if not isinstance(slot, int) or not 0 < slot < COUNTED:
            raise self._no_server(f"/props names no n_ctx of a slot, but {str(slot)[:40]!r}")
        if n_ctx is not None and n_ctx > slot:
            raise ConfigError(
                f"--n-ctx is {n_ctx}, and a slot of {self._url} has {slot}; start it with a "
                "larger -c"
            )
        self.n_ctx = n_ctx or slot

    def count(self, text: str) -> int:
        """The text's tokens."""
        tokens = self._answer("/tokenize", {"content": text, "parse_special": False}).get("tokens")
        if not isinstance(tokens, list):
            raise self._no_server("/tokenize gives no list of tokens")
        return len(tokens)

    def stream(self, messages: Sequence[Message], *, n_answer: int) -> Iterator[str]:
        """The answer, piece by piece; closing the iterator closes the connection, and the server
        stops."""
        asked = {
            "messages": [
                {"role": message.role, "content": message.content} for message in messages
            ],
            "max_tokens": n_answer,
            "temperature": self._temperature,
            "stream": True,
            "cache_prompt": True,
        }
        until, n_bytes = time.monotonic() + ANSWER_S, 0
        try:
            with self._open("/v1/chat/completions", asked) as answer:
                while line := answer.readline(MAX_LINE_BYTES):
                    n_bytes += len(line)
                    if time.monotonic() > until or n_bytes > MAX_ANSWER_BYTES:
                        raise self._no_server("its answer does not end")
                    yield from self._pieces(line)
        except (OSError, http.client.HTTPException) as error:
            raise self._no_server(f"its answer broke off ({error})") from None

    def _pieces(self, line: bytes) -> Iterator[str]:
        """The text of one line of a stream of events."""
        event = line.decode(errors="replace").removeprefix("data: ").strip()
        if not line.startswith(b"data: ") or event == "[DONE]":
            return
        try:
            choices = parse_json(event)["choices"]
            for choice in choices:
                piece = choice["delta"].get("content") or ""
                if not isinstance(piece, str):
                    raise TypeError("content that is no text")
                yield piece
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._no_server(f"it answers with no completion ({str(error)[:80]})") from None

    def _answer(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object at `path`, within a time and a size."""
        until, parts, n_bytes = time.monotonic() + SHORT_ANSWER_S, [], 0
        try:
            with self._open(path, body) as answer:
                while part := answer.read1(1 << 16):
                    parts.append(part)
                    n_bytes += len(part)
                    if time.monotonic() > until or n_bytes > MAX_ANSWER_BYTES:
                        raise self._no_server(f"{path} does not end")
            found = parse_json(b"".join(parts).decode(errors="replace"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._no_server(f"{path} gives no JSON ({str(error)[:80]})") from None
        if not isinstance(found, dict):
            raise self._no_server(f"{path} gives no JSON object")
        return found

    def _no_server(self, why: str) -> ConfigError:
        return ConfigError(f"{self._url} is no llama-server: {why}; check --url")

    def _open(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"}
        )
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace")
            raise ConfigError(
                f"{self._url}{path} answers {error.code}: {said}; is it a llama-server?"
            ) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ConfigError(
                f"no llama-server answers at {self._url} ({error}); check --url"
            ) from None


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
