"""Reads a GGUF header over HTTP: only the header travels, never the weights.

`https://…gguf` and `hf:owner/repo/file.gguf` are read by range requests, a growing prefix until the
header is whole, so that an 18 GB model is judged after some 6 MiB. A broken connection is taken up
at the byte reached. Standard library only; the server is untrusted, so what it sends is bounded and
every length checked.

HF_ENDPOINT names another Hugging Face server, HF_TOKEN the token for gated models; the token goes
to that server alone, never to a host it redirects to.
"""

import http.client
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from oomph.errors import ModelFileError
from oomph.gguf.bounded_reader import MAX_HEADER_BYTES, TruncatedHeaderError
from oomph.gguf.header import GGUFFile, join_parts, parse_header, part_names
from oomph.units import MIB, size

FIRST_BYTES: Final = MIB
ATTEMPTS: Final = 4
"""Connections in a row that may break with less than PROGRESS_BYTES gained before the reading is
given up."""
PROGRESS_BYTES: Final = 16 << 10

_HF_REFERENCE: Final = re.compile(r"hf:(?P<repo>[^/\s]+/[^/\s]+)/(?P<file>\S+\.gguf)")
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_ADVICE: Final = {
    401: "it needs a token: set HF_TOKEN to one that may read it",
    403: "the server refuses it: accept the model's terms and set HF_TOKEN to a token that may "
    "read it",
    404: "there is no such file: check owner, repository and file name",
    416: "the file is empty, or shorter than it was a moment ago",
}


def is_remote(reference: str) -> bool:
    """Whether a model is named by URL or as `hf:owner/repo/file.gguf`."""
    return reference.startswith(("http://", "https://", "hf:"))


def resolve_url(reference: str) -> str:
    """The URL behind a reference; ModelFileError where `hf:` is not followed by owner, repository
    and file."""
    if not reference.startswith("hf:"):
        return reference
    repository, file = hf_file(reference)
    return f"{_hf_endpoint()}/{repository}/resolve/main/{quote(file)}"


def hf_file(reference: str) -> tuple[str, str]:
    """Repository and file of `hf:owner/repo/file.gguf`; ModelFileError where it is spelt
    otherwise."""
    match = _HF_REFERENCE.fullmatch(reference)
    if not match:
        raise ModelFileError(
            f"{reference}: write hf:owner/repository/file.gguf, with the file's full name"
        )
    return match["repo"], match["file"]


def _hf_endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


class _SafeRedirect(HTTPRedirectHandler):
    """Follows to http(s) only and leaves the token behind when scheme or host change, which urllib
    does not."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            request.remove_header("Authorization")
        return request


class _RemoteFile:
    """The growing prefix of the file at `url`: `data` so far, `total_bytes` once the server has
    said it."""

    def __init__(self, url: str, *, timeout_s: float, pause_s: float) -> None:
        self.url, self.data, self.total_bytes = url, bytearray(), 0
        self._timeout_s, self._pause_s = timeout_s, pause_s
        self._opener: OpenerDirector = build_opener(_SafeRedirect())

    def _has(self, wanted: int) -> bool:
        return len(self.data) >= (min(wanted, self.total_bytes) if self.total_bytes else wanted)

    def grow(self, wanted: int) -> None:
        """Fetch until `wanted` bytes are there or the file ends; broken connections are taken up
        where they broke."""
        failures = 0
        while not self._has(wanted):
            before = len(self.data)
            try:
                self._fetch(wanted)
                reason = "the connection closed early"
            except (OSError, http.client.HTTPException) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if self._has(wanted):
                return
            failures = 0 if len(self.data) - before >= PROGRESS_BYTES else failures + 1
            if failures == ATTEMPTS:
                raise ModelFileError(
                    f"{self.url}: {reason} after {size(len(self.data))}, {ATTEMPTS} times in a "
                    "row; check address and network"
                )
            if failures:
                time.sleep(self._pause_s * 2 ** (failures - 1))

    def _fetch(self, wanted: int) -> None:
        with self._open(wanted) as response:
            while (left := wanted - len(self.data)) > 0:
                piece = response.read1(min(left, MIB))
                if not piece:
                    return
                self.data += piece

    @contextmanager
    def _open(self, wanted: int) -> Iterator[Any]:
        request = Request(
            self.url,
            headers={"Range": f"bytes={len(self.data)}-{wanted - 1}", "User-Agent": "oomph"},
        )
        token = os.environ.get("HF_TOKEN")
        if token and self.url.startswith(_hf_endpoint() + "/"):
            request.add_header("Authorization", f"Bearer {token}")
        try:
            response = self._opener.open(request, timeout=self._timeout_s)
        except HTTPError as error:
            error.close()
            # the server's trouble of the moment: worth another attempt
            if error.code >= 500 or error.code == 429:
                raise URLError(f"the server answers {error.code} {error.reason}") from None
            advice = _ADVICE.get(error.code, "check the address")
            raise ModelFileError(
                f"{self.url}: the server answers {error.code} {error.reason}; {advice}"
            ) from None
        with response:
            self._check_range(response)
            yield response

    def _check_range(self, response: Any) -> None:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status != 206 or not match or int(match[1]) != len(self.data):
            raise ModelFileError(
                f"{self.url}: the server does not serve byte ranges, so the header cannot be read "
                "alone; download the file and name its path"
            )
        if self.total_bytes not in (0, int(match[3])):
            raise ModelFileError(f"{self.url}: the file changed while it was read; try again")
        self.total_bytes = int(match[3])


def _read_part(url: str, *, limit_bytes: int, timeout_s: float, pause_s: float) -> GGUFFile:
    remote, wanted = _RemoteFile(url, timeout_s=timeout_s, pause_s=pause_s), FIRST_BYTES
    while True:
        remote.grow(min(wanted, limit_bytes))
        try:
            return parse_header(bytes(remote.data), name=url, file_bytes=remote.total_bytes)
        except TruncatedHeaderError as error:
            if len(remote.data) >= limit_bytes:
                raise ModelFileError(
                    f"{url}: the header is not complete within {size(limit_bytes)}; download the "
                    "file and name its path"
                ) from None
            wanted = max(2 * len(remote.data), error.needed_bytes)


def read_remote_gguf(
    reference: str,
    *,
    limit_bytes: int = MAX_HEADER_BYTES,
    timeout_s: float = 20.0,
    pause_s: float = 0.5,
) -> GGUFFile:
    """The header behind a URL or `hf:` reference; of a split model the headers of all its parts.

    At most `limit_bytes` of each part are fetched. `timeout_s` is the longest silence of the
    server, `pause_s` the first wait after a broken connection (it doubles). Raises ModelFileError:
    one sentence with what the server answered, or the byte offset of what is malformed.
    """
    url = resolve_url(reference)
    try:
        scheme, host, path, query, _ = urlsplit(url)
    except ValueError:  # an unclosed bracket in the host
        scheme = host = path = query = ""
    if scheme not in ("http", "https") or not host.isascii():
        raise ModelFileError(f"{reference} is no http or https address")
    folder, _, file_name = path.rpartition("/")
    folder = quote(folder, safe="/%:@!$&'()*+,;=~")

    def read(name: str) -> GGUFFile:
        part = urlunsplit((scheme, host, f"{folder}/{quote(name)}", query, ""))
        return _read_part(part, limit_bytes=limit_bytes, timeout_s=timeout_s, pause_s=pause_s)

    first_name = unquote(file_name)
    first = read(first_name)
    return join_parts(
        [first if name == first_name else read(name) for name in part_names(first, first_name)]
    )
