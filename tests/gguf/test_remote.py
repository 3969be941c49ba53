"""Headers over HTTP, from a server on this machine that can drop, refuse and lie."""

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import gguf
from oomph.errors import ModelFileError
from oomph.gguf.header import GGUFFile, read_gguf
from oomph.gguf.remote import FIRST_BYTES, read_remote_gguf, resolve_url

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
