"""Headers over HTTP, from a server on this machine that can drop, refuse and lie."""

import contextlib
import gzip
import io
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import numpy as np
import pytest

import gguf
from oomph.architectures.source import read_model
from oomph.errors import ModelFileError, OomphError
from oomph.gguf.header import GGUFFile, read_gguf
from oomph.gguf.remote import FIRST_BYTES, read_remote_gguf, repository_files, resolve_url
from oomph.web import WebError, web_opener

read_far = partial(read_remote_gguf, pause_s=0.0, timeout_s=5.0)


@dataclass
class Behaviour:
    """What the server does and what it was asked: `requests` holds (path, first byte,
    authorization)."""

    folder: Path
    ranges: bool = True
    status: int | None = None
    drop_after: int | None = None
    redirect_to: str | None = None
    shift: int = 0
    requests: list[tuple[str, int, str | None]] = field(default_factory=list)
    sent_bytes: int = 0


class Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        does = self.behaviour
        first, last = (
            int(n) for n in re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        )
        does.requests.append((self.path, first, self.headers.get("Authorization")))
        path = does.folder / self.path.partition("?")[0].lstrip("/").removeprefix(
            "owner/repo/resolve/main/"
        )
        if does.redirect_to:
            self.reply(302, b"", Location=does.redirect_to + self.path)
        elif does.status or not path.is_file():
            self.reply(does.status or 404, b"no")
        elif not does.ranges:
            self.reply(200, path.read_bytes())
        else:
            whole = path.read_bytes()
            body = whole[first : last + 1]
            start = first + does.shift
            self.reply(
                206,
                body,
                **{"Content-Range": f"bytes {start}-{first + len(body) - 1}/{len(whole)}"},
            )

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        cut = body if self.behaviour.drop_after is None else body[: self.behaviour.drop_after]
        self.behaviour.sent_bytes += len(cut)
        try:
            self.wfile.write(cut)
        except ConnectionError:  # the reader has what it wanted and has hung up
            return
        if len(cut) < len(body):
            self.close_connection = True
            self.connection.close()


def serve(behaviour: Behaviour) -> Iterator[str]:
    handler = type("BoundHandler", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _straight_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


@pytest.fixture
def does(tmp_path: Path) -> Behaviour:
    return Behaviour(folder=tmp_path)


@pytest.fixture
def server(does: Behaviour) -> Iterator[str]:
    yield from serve(does)


@pytest.fixture(scope="module")
def big_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model whose header takes some 3 MiB and whose data takes 8 MiB."""
    path = tmp_path_factory.mktemp("big") / "big.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_token_list([f"token number {i:06}" for i in range(120_000)])
    writer.add_tensor("token_embd.weight", np.zeros((1 << 15, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture
def big(does: Behaviour, big_bytes: bytes) -> GGUFFile:
    """The big model on the server, as read from disk."""
    (does.folder / "big.gguf").write_bytes(big_bytes)
    return read_gguf(does.folder / "big.gguf")


def same_header(far: GGUFFile, near: GGUFFile) -> bool:
    return (far.metadata, far.tensors, far.data_offset, far.file_bytes) == (
        near.metadata,
        near.tensors,
        near.data_offset,
        near.file_bytes,
    )


def test_small_header_takes_one_request(server: str, does: Behaviour, small_model: Path) -> None:
    (does.folder / "small.gguf").write_bytes(small_model.read_bytes())
    assert same_header(read_far(f"{server}/small.gguf"), read_gguf(small_model))
    assert does.requests == [("/small.gguf", 0, None)]


def test_prefix_grows_until_the_header_is_whole_and_no_byte_travels_twice(
    server: str, does: Behaviour, big: GGUFFile
) -> None:
    assert big.data_offset > 2 * FIRST_BYTES
    assert same_header(read_far(f"{server}/big.gguf"), big)
    starts = [first for _, first, _ in does.requests]
    assert starts == sorted(set(starts))
    assert does.sent_bytes <= 2 * big.data_offset < big.file_bytes


def test_broken_connection_goes_on_from_the_byte_reached(
    server: str, does: Behaviour, big: GGUFFile
) -> None:
    does.drop_after = 300_000
    assert same_header(read_far(f"{server}/big.gguf"), big)
    assert [first for _, first, _ in does.requests[:4]] == [0, 300_000, 600_000, 900_000]


def test_connection_that_never_brings_anything_is_given_up(
    server: str, does: Behaviour, big: GGUFFile
) -> None:
    does.drop_after = 0
    with pytest.raises(ModelFileError, match=r"big\.gguf: .* after 0 B, 4 times in a row"):
        read_far(f"{server}/big.gguf")


def test_header_past_the_limit_is_refused(server: str, does: Behaviour, big: GGUFFile) -> None:
    with pytest.raises(ModelFileError, match=r"not complete within 1.5 MiB; download"):
        read_far(f"{server}/big.gguf", limit_bytes=3 << 19)
    assert does.sent_bytes <= 3 << 19


def test_server_without_ranges_says_so_at_once(server: str, does: Behaviour, big: GGUFFile) -> None:
    does.ranges = False
    with pytest.raises(ModelFileError, match=r"does not serve byte ranges.*download the file"):
        read_far(f"{server}/big.gguf")
    assert len(does.requests) == 1


def test_server_that_sends_another_range_is_not_believed(
    server: str, does: Behaviour, big: GGUFFile
) -> None:
    does.shift = 1
    with pytest.raises(ModelFileError, match="does not serve byte ranges"):
        read_far(f"{server}/big.gguf")


@pytest.mark.parametrize(
    ("status", "message", "n_requests"),
    [
        (404, "404 .*no such file", 1),
        (401, "401 .*set HF_TOKEN", 1),
        (403, "403 .*accept the model's terms", 1),
        (503, "503 .*4 times in a row", 4),
    ],
)
def test_refusal_is_one_sentence_with_the_way_out(
    server: str, does: Behaviour, status: int, message: str, n_requests: int
) -> None:
    does.status = status
    with pytest.raises(
        ModelFileError, match=rf"^{server}/x\.gguf: the server answers {message}"
    ) as caught:
        read_far(f"{server}/x.gguf")
    assert "\n" not in str(caught.value)
    assert len(does.requests) == n_requests


def test_silent_server_times_out() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(ModelFileError, match="timed out after 0 B"),
    ):
        read_remote_gguf(
            f"http://127.0.0.1:{listener.getsockname()[1]}/x.gguf", pause_s=0.0, timeout_s=0.05
        )


def test_malformed_header_names_the_offset(server: str, does: Behaviour) -> None:
    (does.folder / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelFileError, match=r"GGUF version 0.* at byte 4"):
        read_far(f"{server}/bad.gguf")


def test_split_model_is_read_from_all_its_parts(server: str, does: Behaviour) -> None:
    writer = gguf.GGUFWriter(does.folder / "m.gguf", "llama", split_max_tensors=1)
    writer.add_block_count(1)
    for i in range(3):
        writer.add_tensor(f"t{i}", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    far = read_far(f"{server}/m-00002-of-00003.gguf?download=true")
    assert same_header(far, read_gguf(does.folder / "m-00001-of-00003.gguf"))
    assert far.n_parts == 3
    assert {path for path, _, _ in does.requests} == {
        f"/m-0000{n}-of-00003.gguf?download=true" for n in (1, 2, 3)
    }


class TestHuggingFace:
    def test_reference_becomes_the_resolve_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert resolve_url("hf:o/r/dir/a b.gguf".replace(" ", "+")) == (
            "https://huggingface.co/o/r/resolve/main/dir/a%2Bb.gguf"
        )
        monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
        assert resolve_url("hf:o/r/f.gguf") == "https://mirror.example/o/r/resolve/main/f.gguf"

    @pytest.mark.parametrize("reference", ["hf:o/r", "hf:f.gguf", "hf:o/r/readme.md"])
    def test_reference_without_a_file_is_refused(self, reference: str) -> None:
        with pytest.raises(ModelFileError, match=r"write hf:owner/repository/file\.gguf"):
            resolve_url(reference)

    def test_token_goes_to_the_endpoint_and_not_where_it_redirects(
        self,
        server: str,
        does: Behaviour,
        small_model: Path,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store = Behaviour(folder=tmp_path_factory.mktemp("store"))
        (store.folder / "f.gguf").write_bytes(small_model.read_bytes())
        monkeypatch.setenv("HF_ENDPOINT", server)
        monkeypatch.setenv("HF_TOKEN", "secret")
        for does.redirect_to in serve(store):
            assert same_header(read_far("hf:owner/repo/f.gguf"), read_gguf(small_model))
        assert does.requests == [("/owner/repo/resolve/main/f.gguf", 0, "Bearer secret")]
        assert [authorization for _, _, authorization in store.requests] == [None]

    @pytest.mark.parametrize("token", ["secret\r\nX: y", "sec ret", "secr\u20act", "secret\x1b[2J"])
    def test_token_that_is_none_is_neither_sent_nor_shown(
        self, server: str, does: Behaviour, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", server)
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(ModelFileError, match="HF_TOKEN has a character") as caught:
            read_far("hf:owner/repo/f.gguf")
        with pytest.raises(ModelFileError, match="HF_TOKEN has a character") as listed:
            repository_files("owner/repo")
        assert "sec" not in str(caught.value) + str(listed.value)
        assert does.requests == []

    def test_token_of_a_file_with_a_line_end_is_one(
        self, server: str, does: Behaviour, small_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (does.folder / "f.gguf").write_bytes(small_model.read_bytes())
        monkeypatch.setenv("HF_ENDPOINT", server)
        monkeypatch.setenv("HF_TOKEN", "secret\r\n")
        read_far(f"{server}/f.gguf")
        assert does.requests == [("/f.gguf", 0, "Bearer secret")]

    def test_token_is_not_sent_to_other_hosts(
        self, server: str, does: Behaviour, small_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (does.folder / "f.gguf").write_bytes(small_model.read_bytes())
        monkeypatch.setenv("HF_TOKEN", "secret")
        read_far(f"{server}/f.gguf")
        assert does.requests == [("/f.gguf", 0, None)]


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "http://[::1/x.gguf", "http://bücher.example/x.gguf"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ModelFileError, match="no http or https address"):
        read_far(address)


def test_names_beyond_ascii_are_quoted(server: str, does: Behaviour, small_model: Path) -> None:
    (does.folder / "ä b.gguf").write_bytes(small_model.read_bytes())
    with pytest.raises(ModelFileError, match="404"):
        read_far(f"{server}/ordner ü/ä b.gguf")
    assert [path for path, _, _ in does.requests] == ["/ordner%20%C3%BC/%C3%A4%20b.gguf"]


class RawServer:
    """Answers each connection with the next of `answers` (the last again and again): bytes, or an
    iterator of pieces that may have no end. `heads` holds what it was asked."""

    def __init__(self, *answers: bytes | Callable[[], Iterator[bytes]]) -> None:
        self.answers, self.heads, self.sent_bytes = list(answers), list[str](), 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "RawServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.heads.append(connection.recv(65536).decode())
                answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
                with contextlib.suppress(OSError):  # the reader has hung up
                    for piece in [answer] if isinstance(answer, bytes) else answer():
                        connection.sendall(piece)
                        self.sent_bytes += len(piece)


def reply(*headers: str, status: str = "206 Partial Content", body: bytes = b"") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "", "")).encode() + body


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Callable[[], Iterator[bytes]]:
    def answer() -> Iterator[bytes]:
        yield head
        while True:
            yield piece
            time.sleep(pause_s)

    return answer


WHOLE = f"Content-Range: bytes 0-{(1 << 20) - 1}/{1 << 40}"
TRUTH = b"GGUF\x03\x00\x00\x00"


class TestServersThatMisbehave:
    """Each ends in one sentence, within its bounds of bytes, requests and time."""

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (endless(reply(WHOLE), b"G", 0.05), "takes more time than a header may"),
            (endless(b"HTTP/1.1 206 Partial", b" ", 0.05), "takes more time than a header may"),
            (endless(reply()[:-2], b"X-A: b\r\n", 0.05), "takes more time than a header may"),
            (endless(reply(WHOLE), TRUTH * 9000), "not complete|at byte"),
            (endless(reply(status="200 OK"), b"x" * 9000), "does not serve byte ranges"),
            (endless(reply("Location: /y", status="302 Found"), b"x" * 9000), "redirect"),
            (endless(reply(status="404 " + "no" * 30_000), b"x" * 9000), "404 no"),
            (endless(reply(), b"a: b\r\n" * 100), "4 times|does not serve"),
        ],
        ids=["body drips", "status drips", "headers drip", "body without end", "no range",
             "redirect without end", "long reason", "too many headers"],
    )  # fmt: skip
    def test_what_never_ends_is_ended(
        self, answer: Callable[[], Iterator[bytes]], said: str
    ) -> None:
        started = time.monotonic()
        with RawServer(answer) as server, pytest.raises(ModelFileError, match=said) as caught:
            read_far(f"{server.url}/x.gguf", deadline_s=1.0, limit_bytes=4 << 20)
        assert time.monotonic() - started < 4
        assert len(str(caught.value)) < 500
        assert server.sent_bytes < 32 << 20, "what the kernel's buffers take, on top"

    @pytest.mark.parametrize(
        "told",
        [
            "bytes 5-9/100",
            "bytes 0-9/5",
            "bytes 9-0/100",
            f"bytes 0-9/{'9' * 5000}",
            "bytes 0-9/*",
            "bytes */100",
            "bytes ²-9/100",
            "0-9/100",
        ],
    )
    def test_a_range_that_lies_is_not_believed(self, told: str) -> None:
        answer = reply(f"Content-Range: {told}", body=TRUTH)
        with (
            RawServer(answer) as server,
            pytest.raises(ModelFileError, match=r"does not serve byte ranges|changed while"),
        ):
            read_far(f"{server.url}/x.gguf")
        assert len(server.heads) == 1

    def test_a_file_that_grows_while_it_is_read_is_told(self) -> None:
        first = reply("Content-Range: bytes 0-7/100", body=TRUTH)
        then = reply("Content-Range: bytes 8-9/101", body=b"xx")
        with (
            RawServer(first, then) as server,
            pytest.raises(ModelFileError, match="changed while it was read"),
        ):
            read_far(f"{server.url}/x.gguf")

    def test_a_compressed_bomb_is_never_unpacked(self) -> None:
        bomb = gzip.compress(bytes(1 << 26))
        head = reply(
            f"Content-Range: bytes 0-{len(bomb) - 1}/{len(bomb)}", "Content-Encoding: gzip"
        )
        with (
            RawServer(head + bomb) as server,
            pytest.raises(ModelFileError, match=r"packs what it sends \(gzip\)"),
        ):
            read_far(f"{server.url}/x.gguf")
        assert "Accept-Encoding: identity" in server.heads[0]

    @pytest.mark.parametrize(
        "body", [b"-5\r\nabc", b"f" * 70_000 + b"\r\n", b"zz\r\n", b"5\r\nab", b"", b"0\r\n\r\n"]
    )
    def test_chunks_that_are_none_are_given_up(self, body: bytes) -> None:
        answer = reply(WHOLE, "Transfer-Encoding: chunked", body=body)
        said = "4 times in a row|does not serve"
        with RawServer(answer) as server, pytest.raises(ModelFileError, match=said):
            read_far(f"{server.url}/x.gguf")

    @pytest.mark.parametrize(
        "answer", [b"", b"\0" * 100, b"HTTP/9.9 hello\r\n\r\n", b"HTTP/1.1 99999 x\r\n\r\n"]
    )
    def test_what_is_no_http_is_given_up(self, answer: bytes) -> None:
        with RawServer(answer) as server, pytest.raises(ModelFileError, match="4 times in a row"):
            read_far(f"{server.url}/x.gguf")

    def test_small_gains_do_not_buy_requests_without_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each connection brings what counts as progress, and breaks."""
        monkeypatch.setattr("oomph.gguf.remote.REQUESTS", 20)
        piece, total = b"\0" * (16 << 10), 1 << 40
        valid_start = TRUTH + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
        valid_start += (1 << 26).to_bytes(8, "little")  # a key of 64 MiB
        answers = [
            reply(
                f"Content-Range: bytes {n * len(piece)}-{total - 1}/{total}",
                body=valid_start.ljust(len(piece), b"a") if n == 0 else piece,
            )
            for n in range(25)
        ]
        with (
            RawServer(*answers) as server,
            pytest.raises(ModelFileError, match=r"more requests than a header may|at byte"),
        ):
            read_far(f"{server.url}/x.gguf")
        assert len(server.heads) <= 20

    @pytest.mark.parametrize(
        "target",
        [
            "ftp://127.0.0.1/x.gguf",
            "file:///etc/passwd",
            "data:text/plain,GGUF",
            "gopher://127.0.0.1/",
            "http://[::1/x",
            "//",
            "http://127.0.0.1:99999/x",
        ],
    )
    def test_a_redirect_goes_nowhere_but_to_http(self, target: str) -> None:
        answer = reply(f"Location: {target}", status="302 Found")
        with (
            RawServer(answer) as server,
            pytest.raises(OomphError, match=r"refused|not allowed|4 times in a row|302"),
        ):
            read_far(f"{server.url}/x.gguf")

    def test_a_redirect_does_not_leave_https(self) -> None:
        request = Request("https://me.example/x", headers={"Authorization": "Bearer secret"})
        redirect = next(
            handler for handler in web_opener().handlers if "Redirect" in type(handler).__name__
        )
        with pytest.raises(WebError, match="stays with https"):
            redirect.redirect_request(request, io.BytesIO(), 302, "", None, "http://me.example/x")
        kept = redirect.redirect_request(
            request, io.BytesIO(), 302, "", None, "https://me.example/y"
        )
        assert kept.get_header("Authorization") == "Bearer secret"
        for stranger in ("https://me.example:444/x", "https://you.example/x"):
            gone = redirect.redirect_request(request, io.BytesIO(), 302, "", None, stranger)
            assert not gone.has_header("Authorization")

    def test_a_circle_of_redirects_ends(self) -> None:
        with RawServer(reply("Location: /x.gguf", status="302 Found")) as server:
            with pytest.raises(ModelFileError, match="302"):
                read_far(f"{server.url}/x.gguf")
            assert len(server.heads) <= 11

    def test_twenty_thousand_parts_are_not_asked_for(self, server: str, does: Behaviour) -> None:
        name = "m-00001-of-20000.gguf"
        writer = gguf.GGUFWriter(does.folder / name, "llama")
        writer.add_block_count(1)
        writer.add_uint16("split.count", 20_000)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        with pytest.raises(ModelFileError, match=r"one of 20,000 parts; .* at most 400"):
            read_far(f"{server}/{name}")
        assert len(does.requests) == 1


class TestLogins:
    def test_a_password_goes_to_its_host_in_a_header_and_is_never_shown(self) -> None:
        answer = reply(status="403 Forbidden")
        with RawServer(answer) as server:
            url = server.url.replace("http://", "http://me:s3cret@")
            with pytest.raises(ModelFileError) as caught:
                read_far(f"{url}/x.gguf?token=t0ken&x=1")
        assert "s3cret" not in str(caught.value)
        assert "t0ken" not in str(caught.value)
        assert "Authorization: Basic bWU6czNjcmV0\r\n" in server.heads[0]
        assert "me:s3cret" not in server.heads[0]
        assert "?token=t0ken&x=1" in server.heads[0]

    def test_a_redirect_to_another_port_takes_no_password_along(self) -> None:
        with RawServer(reply(status="404 Not Found")) as other:
            target = other.url.replace("http://", "http://you:too@")
            with RawServer(reply(f"Location: {target}/y", status="302 Found")) as server:
                url = server.url.replace("http://", "http://me:s3cret@")
                with pytest.raises(ModelFileError, match="404"):
                    read_far(f"{url}/x.gguf")
        assert "Authorization" in server.heads[0]
        assert "Authorization" not in other.heads[0]

    def test_the_model_does_not_keep_it_as_its_source(
        self, server: str, does: Behaviour, small_model: Path
    ) -> None:
        (does.folder / "m.gguf").write_bytes(small_model.read_bytes())
        spec = read_model(f"{server.replace('http://', 'http://me:s3cret@')}/m.gguf")
        assert "s3cret" not in repr(spec)
