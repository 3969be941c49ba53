"""`--url` at servers that are no llama-server, or hostile: one sentence, or an answer that ends."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from oomph.chat import backends
from oomph.chat.backends import ServerBackend
from oomph.chat.budget import Message
from oomph.errors import OomphError

Answer = bytes | Callable[[], Iterator[bytes]]
PROPS = json.dumps({"default_generation_settings": {"n_ctx": 512}}).encode()
ASKED = [Message("user", "hello")]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode() + body


def dripping(
    head: bytes, piece: bytes = b" ", pause_s: float = 0.02
) -> Callable[[], Iterator[bytes]]:
    def answer() -> Iterator[bytes]:
        yield head
        while True:
            yield piece
            time.sleep(pause_s)

    return answer


@contextlib.contextmanager
def serving(**answers: Answer) -> Iterator[str]:
    """A server that answers `/props`, `/tokenize` and `/v1/…` with raw bytes, by their names."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                path = _asked(connection).split(b" ")[1].decode()
                name = path.strip("/").partition("/")[0]
                answer = answers.get(name, http(b"no", "404 Not Found"))
                for piece in [answer] if isinstance(answer, bytes) else answer():
                    connection.sendall(piece)

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def _asked(connection: socket.socket) -> bytes:
    """A whole request: what is left unread resets the connection when it is closed."""
    asked = connection.recv(1 << 20)
    head, _, body = asked.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    length = int(found[1]) if found else 0
    while len(body) < length and (more := connection.recv(1 << 20)):
        body += more
    return asked


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(backends, "REPLY_S", 0.5)
    monkeypatch.setattr(backends, "ANSWER_S", 0.5)
    monkeypatch.setattr(backends, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(backends, "LONGEST_REPLY", 1 << 20)


STRANGE: dict[str, Answer] = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "NUL": bytes(1000),
    "HTML": http(b"<html>hello</html>"),
    "404": http(b"\x1b[2J", "404 Not Found"),
    "500 without end": dripping(http(b"", "500 Oh"), b"x" * 9000, 0),
    "empty": http(b""),
    "text": http(b'"n_ctx"'),
    "list": http(b"[1, 2]"),
    "null": http(b"null"),
    "deep": http(b"[" * 100_000),
    "many digits": http(b'{"default_generation_settings": {"n_ctx": ' + b"9" * 5000 + b"}}"),
    "other keys": http(b'{"a": 1}'),
    "settings of text": http(b'{"default_generation_settings": "n_ctx"}'),
    "n_ctx of text": http(b'{"default_generation_settings": {"n_ctx": "512"}}'),
    "n_ctx of truth": http(b'{"default_generation_settings": {"n_ctx": true}}'),
    "n_ctx of 0": http(b'{"default_generation_settings": {"n_ctx": 0}}'),
    "n_ctx below 0": http(b'{"default_generation_settings": {"n_ctx": -1}}'),
    "n_ctx NaN": http(b'{"default_generation_settings": {"n_ctx": NaN}}'),
    "no UTF-8": http(b"\xff\xfe\xfd"),
    "headers drip": dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "body drips": dripping(http(b"{")),
    "body without end": dripping(http(b"["), b"1," * 9000, 0),
    "redirect to ftp": http(b"", "302 Found", "Location: ftp://127.0.0.1/"),
    "redirect to a file": http(b"", "302 Found", "Location: file:///etc/passwd"),
    "redirect in a circle": http(b"", "302 Found", "Location: /props"),
    "bad chunks": http(b"zz\r\n", "200 OK", "Transfer-Encoding: chunked"),
    "short": http(b"{", "200 OK", "Content-Length: 900"),
}


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
def test_what_is_no_llama_server_is_one_sentence(answer: Answer) -> None:
    started = time.monotonic()
    with serving(props=answer) as url, pytest.raises(OomphError) as caught:
        ServerBackend(url)
    assert url in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
def test_tokens_that_are_none_are_one_sentence(answer: Answer) -> None:
    with serving(props=http(PROPS), tokenize=answer) as url:
        server = ServerBackend(url)
        with pytest.raises(OomphError) as caught:
            server.count("hello")
    assert len(str(caught.value)) < 1000


def test_a_refusal_whose_connection_breaks_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> bytes:
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr("urllib.error.HTTPError.read", broken, raising=False)
    refused = pytest.raises(OomphError, match="/props answers 404: nothing")
    with serving(props=http(b"no", "404 Not Found")) as url, refused:
        ServerBackend(url)


EVENT = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'
STREAMS: dict[str, tuple[Answer, str]] = {
    "an answer": (http(EVENT * 2 + b"data: [DONE]\n"), "hihi"),
    "no events": (http(b"hello\n\n"), ""),
    "events of nonsense": (
        http(
            b"data: \ndata: {\ndata: []\ndata: 1\ndata: {}\n"
            b'data: {"choices": 1}\ndata: {"choices": [1]}\ndata: {"choices": [{"delta": []}]}\n'
            b'data: {"choices": [{"delta": {"content": 5}}]}\ndata: \xff\n'
            + b"data: " + b"[" * 90_000 + b"\n" + EVENT
        ),
        "hi",
    ),
    "without end": (dripping(http(b""), EVENT * 100, 0), "hi" * (4 * backends.LONGEST_TOKEN // 2)),
    "half a character": (
        http(rb'data: {"choices": [{"delta": {"content": "a\ud800b\ud83d\ude00"}}]}' + b"\n"),
        "a\ufffdb\U0001f600",
    ),
    "one line without end": (dripping(http(b"data: "), b"x" * 9000, 0), ""),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "text"), STREAMS.values(), ids=STREAMS)
def test_a_stream_ends_whatever_is_in_it(answer: Answer, text: str) -> None:
    with serving(props=http(PROPS), v1=answer) as url:
        said = []
        with contextlib.suppress(OomphError):
            said += ServerBackend(url).stream(ASKED, n_answer=4)
    assert "".join(said) == text or "without end" in str(answer)


def test_a_stream_that_drips_ends_with_a_sentence() -> None:
    drip = dripping(http(b""), b": keep-alive\n")
    with serving(props=http(PROPS), v1=drip) as url:
        server = ServerBackend(url)
        with pytest.raises(OomphError, match="no end after"):
            list(server.stream(ASKED, n_answer=4))


@pytest.mark.parametrize("head", [http(b""), http(b"data: "), http(b"", "206 Partial Content")])
def test_a_line_that_drips_ends_with_a_sentence(head: bytes) -> None:
    """Its own end may never come, so the clock is looked at with each piece."""
    started = time.monotonic()
    with serving(props=http(PROPS), v1=dripping(head, b"x")) as url:
        server = ServerBackend(url)
        with pytest.raises(OomphError, match="no end after"):
            list(server.stream(ASKED, n_answer=4))
    assert time.monotonic() - started < 5


def test_an_answer_whose_head_drips_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(props=http(PROPS), v1=dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")) as url:
        server = ServerBackend(url)
        monkeypatch.setattr(backends, "TIMEOUT_S", 0.5)
        with pytest.raises(OomphError, match=r"it took longer than 0\.5 s"):
            list(server.stream(ASKED, n_answer=4))


def test_a_refusal_that_drips_is_one_sentence() -> None:
    started = time.monotonic()
    refused = pytest.raises(OomphError, match="/props answers 500: nothing")
    with serving(props=dripping(http(b"", "500 Oh"), b"x")) as url, refused:
        ServerBackend(url)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("size", [1, 3, 17])
def test_a_line_may_come_in_pieces(size: int) -> None:
    said = EVENT + b"data: [DONE]\n" + EVENT.rstrip(b"\n")  # the last without its end

    def pieces() -> Iterator[bytes]:
        yield http(b"")
        for at in range(0, len(said), size):
            yield said[at : at + size]
            time.sleep(0.001)

    with serving(props=http(PROPS), v1=pieces) as url:
        assert "".join(ServerBackend(url).stream(ASKED, n_answer=4)) == "hihi"


def test_a_password_goes_along_and_is_not_shown() -> None:
    with serving(props=http(b"no", "403 Forbidden")) as url, pytest.raises(OomphError) as caught:
        ServerBackend(url.replace("http://", "http://me:s3cret@"))
    assert "answers 403" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1", "[", "http://[", "x", ""])
def test_no_other_scheme_is_asked(url: str) -> None:
    with pytest.raises(OomphError, match="check --url"):
        ServerBackend(url)
