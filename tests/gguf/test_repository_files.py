"""A repository's files over HTTP, from a server on this machine that may say anything."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from oomph import read_model
from oomph.errors import ModelFileError, OomphError
from oomph.gguf import remote
from oomph.gguf.remote import repository_files, resolve_url

GIB = 1 << 30
LISTING = [
    {"type": "file", "path": "README.md", "size": 900},
    {"type": "directory", "path": "UD", "size": 0},
    {"type": "file", "path": "Foo-Q4_K_M.gguf", "size": 5 * GIB},
    {"type": "file", "path": "UD/Foo-UD-Q4_K_XL-00001-of-00002.gguf", "size": 4 * GIB},
    {"type": "file", "path": "UD/Foo-UD-Q4_K_XL-00002-of-00002.gguf", "size": 2 * GIB},
]


class Handler(BaseHTTPRequestHandler):
    status, body = 200, b""
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Handler]]:
    """Hugging Face, here: its class says what it answers and what it was asked."""
    handler = type("Hub", (Handler,), {"asked": [], "body": json.dumps(LISTING).encode()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        yield handler
        server.shutdown()
        thread.join()


def test_files_are_listed_with_their_sizes_and_parts_as_one(hub: type[Handler]) -> None:
    assert repository_files("owner/Foo-GGUF") == [
        ("Foo-Q4_K_M.gguf", 5 * GIB),
        ("UD/Foo-UD-Q4_K_XL-00001-of-00002.gguf", 6 * GIB),
    ]
    assert hub.asked == ["/api/models/owner/Foo-GGUF/tree/main?recursive=true"]


def test_names_that_say_many_parts_take_no_time(hub: type[Handler]) -> None:
    named = [{"path": f"{n}-00001-of-99999.gguf", "size": 1} for n in range(20_000)]
    hub.body = json.dumps(named).encode()
    started = time.process_time()
    assert len(repository_files("owner/Foo-GGUF")) == 20_000
    assert time.process_time() - started < 5


def test_an_unknown_repository_gets_its_files_those_that_were_asked_for_first(
    hub: type[Handler],
) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_model("owner/Foo-GGUF:UD-Q4_K_XL")
    text = str(caught.value)
    assert "reads the header of the very file; it has hf:owner/Foo-GGUF/UD/Foo-UD-Q4" in text
    assert "(6.00 GiB), hf:owner/Foo-GGUF/Foo-Q4_K_M.gguf (5.00 GiB)" in text
    assert "\n" not in text


def test_a_known_model_in_an_unknown_mix_gets_them_too(hub: type[Handler]) -> None:
    with pytest.raises(OomphError, match=r"--file-size 18\.2GiB.*; it has hf:unsloth/Qwen3-8B-GG"):
        read_model("unsloth/Qwen3-8B-GGUF:UD-Q4_K_XL")


def test_a_known_model_and_a_folder_that_is_not_here_ask_nobody(hub: type[Handler]) -> None:
    read_model("unsloth/Qwen3-8B-GGUF:Q4_K_M")
    with pytest.raises(ModelFileError, match="folder/nowhere does not exist; check the path"):
        read_model("folder/nowhere")
    assert hub.asked == []


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_is_said(hub: type[Handler], status: int) -> None:
    hub.status = status
    with pytest.raises(ModelFileError, match="its files are not known here: the server says"):
        read_model("owner/Foo-GGUF:Q4_K_M")


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"{}", b"[1, null, [], {}]", b'[{"path": 3, "size": "x"}]', b"[" * 999],
)
def test_a_listing_may_be_anything(hub: type[Handler], body: bytes) -> None:
    hub.body = body
    with pytest.raises(ModelFileError, match=r"it has no GGUF file|files are not known here"):
        read_model("owner/Foo-GGUF:Q4_K_M")


def test_names_that_could_move_a_cursor_are_left_out(hub: type[Handler]) -> None:
    hub.body = json.dumps([{"path": "\x1b[2Jx.gguf", "size": 1}]).encode()
    assert repository_files("owner/Foo-GGUF") == []


def test_a_listing_without_end_is_given_up(
    hub: type[Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_LISTING_BYTES", 100)
    with pytest.raises(ModelFileError, match="does not answer"):
        repository_files("owner/Foo-GGUF")


def test_no_network_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelFileError, match=r"hf:owner/Foo-GGUF/FILE\.gguf.*does not answer"):
        read_model("hf:owner/Foo-GGUF:Q4_K_M")


def test_the_page_of_a_file_is_read_as_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    page = "https://hub.example/owner/repo/blob/main/m.gguf"
    assert resolve_url(page) == "https://hub.example/owner/repo/resolve/main/m.gguf"
    assert resolve_url("https://else.example/blob/m.gguf") == "https://else.example/blob/m.gguf"
