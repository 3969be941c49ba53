"""Reads a GGUF header over HTTP: only the header travels, never the weights.

`https://…gguf` and `hf:owner/repo/file.gguf` are read by range requests, a growing prefix until the
header is whole, so that an 18 GB model is judged after some 6 MiB. A broken connection is taken up
at the byte reached. Standard library only; the server is untrusted, so what it sends is bounded in
bytes, requests and time, and every length checked.

HF_ENDPOINT names another Hugging Face server, HF_TOKEN the token for gated models; the token goes
to that server alone, never to a host it redirects to.
"""

import http.client
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import Request

from oomph.errors import ModelFileError
from oomph.foreign import parse_json
from oomph.foreign_text import without_password
from oomph.gguf.bounded_reader import MAX_HEADER_BYTES, TruncatedHeaderError
from oomph.gguf.header import GGUFFile, first_part, join_parts, parse_header, part_names
from oomph.units import MIB, size
from oomph.web import SCHEMES, WebError, split_login, web_opener, within

FIRST_BYTES: Final = MIB
ATTEMPTS: Final = 4
"""Connections in a row that may break with less than PROGRESS_BYTES gained before the reading is
given up."""
PROGRESS_BYTES: Final = 16 << 10
REQUESTS: Final = 600
"""Connections for all parts of a model; a header takes one to five, a part more for each break."""
PARTS: Final = 400
"""No published model comes in more than some sixty."""
DEADLINE_S: Final = 300.0
"""For all parts of a model; a header of 6 MiB takes a minute on a line of 1 Mbit/s."""
MAX_LISTING_BYTES: Final = 4 * MIB
LISTING_S: Final = 10.0
"""How long a repository's listing may take: it is asked for to make an error more helpful."""

_HF_REFERENCE: Final = re.compile(r"hf:(?P<repo>[^/\s]+/[^/\s]+)/(?P<file>\S+\.gguf)")
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_TOKEN: Final = re.compile(r"[!-~]+")
_ADVICE: Final = {
    401: "it needs a token: set HF_TOKEN to one that may read it",
    403: "the server refuses it: accept the model's terms and set HF_TOKEN to a token that may "
    "read it",
    404: "there is no such file: check owner, repository and file name",
    416: "the file is empty, or shorter than it was a moment ago",
}


def resolve_url(reference: str) -> str:
    """The URL behind a reference; ModelFileError where `hf:` is not followed by owner, repository
    and file."""
    if not reference.startswith("hf:"):
        page = f"{_hf_endpoint()}/"
        return (
            reference.replace("/blob/", "/resolve/", 1) if reference.startswith(page) else reference
        )
    repository, file = hf_file(reference)
    return f"{_hf_endpoint()}/{repository}/resolve/main/{quote(file)}"


def hf_file(reference: str) -> tuple[str, str]:
    """Repository and file of `hf:owner/repo/file.gguf`; ModelFileError where it is spelt
    otherwise."""
    match = _HF_REFERENCE.fullmatch(reference)
    if not match:
        raise ModelFileError(
            f"{without_password(reference)}: write hf:owner/repository/file.gguf, with the file's "
            "full name"
        )
    return match["repo"], match["file"]


def repository_files(repository: str) -> list[tuple[str, int]]:
    """The GGUF files of a Hugging Face repository with their sizes in bytes, in its order; the
    parts of a split model are one file, named as the first. ModelFileError, in a few words, where
    the server does not say (within LISTING_S)."""
    url = f"{_hf_endpoint()}/api/models/{quote(repository)}/tree/main?recursive=true"
    request = Request(url, headers={"User-Agent": "oomph"})
    _add_token(request)
    try:
        found = parse_json(within(LISTING_S, lambda: _listing(request)))
    except WebError as error:
        raise ModelFileError(str(error)) from None
    except HTTPError as error:
        error.close()
        # what does not exist is answered as if it were private
        why = "no such public repository" if error.code in (401, 404) else f"HTTP {error.code}"
        raise ModelFileError(f"the server says: {why}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise ModelFileError(f"the server does not answer: {reason}") from None
    return _whole_files(found if isinstance(found, list) else [])


def _add_token(request: Request) -> None:
    """Let HF_TOKEN go along, where it is set. ModelFileError for what is no token: whoever refuses
    a header shows it."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token and not _TOKEN.fullmatch(token):
        raise ModelFileError("HF_TOKEN has a character that no token has; set it anew, or unset it")
    if token:
        request.add_header("Authorization", f"Bearer {token}")


def _listing(request: Request) -> bytes:
    """What the server answers; ValueError for more than any repository has."""
    with web_opener().open(request, timeout=LISTING_S / 2) as response:
        body: bytes = response.read(MAX_LISTING_BYTES + 1)
    if len(body) > MAX_LISTING_BYTES:
        raise ValueError("the listing is too long")
    return body


def _whole_files(listed: Sequence[Any]) -> list[tuple[str, int]]:
    """Name and size of each GGUF file of a listing, which may hold anything."""
    sizes: dict[str, int] = {}
    for item in listed:
        path, n_bytes = (item.get("path"), item.get("size")) if isinstance(item, dict) else (0, 0)
        if not (isinstance(path, str) and path.isprintable() and path.endswith(".gguf")):
            continue
        folder, slash, name = path.rpartition("/")
        first = folder + slash + first_part(name)
        known = n_bytes if isinstance(n_bytes, int) and n_bytes >= 0 else 0
        sizes[first] = sizes.get(first, 0) + known
    return list(sizes.items())


def _hf_endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


class _Budget:
    """What one model's headers may cost, of all its parts together."""

    def __init__(self, *, n_bytes: int, n_requests: int, seconds: float) -> None:
        self.n_bytes, self.n_requests = n_bytes, n_requests
        self._until = time.monotonic() + seconds

    @property
    def seconds(self) -> float:
        """What is left of the time."""
        return self._until - time.monotonic()


class _RemoteFile:
    """The growing prefix of the file at `url`: `data` so far, `total_bytes` once the server has
    said it."""

    def __init__(
        self,
        url: str,
        login: Mapping[str, str],
        budget: _Budget,
        *,
        timeout_s: float,
        pause_s: float,
    ) -> None:
        self.url, self.data, self.total_bytes = url, bytearray(), 0
        self._login, self._budget = login, budget
        self._timeout_s, self._pause_s = timeout_s, pause_s
        self._opener = web_opener()

    def _has(self, wanted: int) -> bool:
        return len(self.data) >= (min(wanted, self.total_bytes) if self.total_bytes else wanted)

    def grow(self, wanted: int) -> None:
        """Fetch until `wanted` bytes are there or the file ends; broken connections are taken up
        where they broke."""
        failures = 0
        while not self._has(wanted):
            before = len(self.data)
            reason = self._fetch(wanted)
            if self._has(wanted):
                return
            failures = 0 if len(self.data) - before >= PROGRESS_BYTES else failures + 1
            if failures == ATTEMPTS:
                raise ModelFileError(
                    f"{without_password(self.url)}: {reason} after {size(len(self.data))}, "
                    f"{ATTEMPTS} times in a row; check address and network"
                )
            if failures:
                time.sleep(self._pause_s * 2 ** (failures - 1))

    def _fetch(self, wanted: int) -> str:
        """One connection's worth; why it ended before `wanted` bytes were there."""
        budget, at, pieces = self._budget, len(self.data), list[bytes]()
        if budget.n_requests == 0 or budget.seconds <= 0:
            raise self._too_much("requests" if budget.n_requests == 0 else "time")
        budget.n_requests -= 1
        try:
            self.total_bytes = within(budget.seconds, lambda: self._receive(at, wanted, pieces))
            return "the connection closed early"
        except TimeoutError as error:
            if budget.seconds <= 0:
                raise self._too_much("time") from None
            return str(error) or "timed out"
        except (OSError, ValueError, http.client.HTTPException) as error:
            return (str(getattr(error, "reason", error)) or type(error).__name__)[:200]
        finally:
            for piece in tuple(pieces):
                self.data += piece
                budget.n_bytes -= len(piece)

    def _receive(self, at: int, wanted: int, pieces: list[bytes]) -> int:
        """Put what the server sends of the bytes from `at` to `wanted` into `pieces`; the size of
        the file."""
        left = wanted - at
        with self._open(at, wanted) as response:
            total_bytes = self._check_range(response, at)
            while left > 0 and (piece := response.read1(min(left, MIB))):
                pieces.append(piece)
                left -= len(piece)
                if self._budget.seconds <= 0:
                    raise TimeoutError
        return total_bytes

    @contextmanager
    def _open(self, at: int, wanted: int) -> Iterator[Any]:
        headers = {"Range": f"bytes={at}-{wanted - 1}", "User-Agent": "oomph", **self._login}
        request = Request(self.url, headers=headers)
        if self.url.startswith(split_login(_hf_endpoint())[0] + "/"):
            _add_token(request)
        try:
            response = self._opener.open(request, timeout=self._timeout_s)
        except HTTPError as error:
            error.close()
            said = f"the server answers {error.code} {str(error.reason)[:200]}".rstrip()
            # the server's trouble of the moment: worth another attempt
            if error.code >= 500 or error.code == 429:
                raise URLError(said) from None
            advice = _ADVICE.get(error.code, "check the address")
            raise ModelFileError(f"{without_password(self.url)}: {said}; {advice}") from None
        with response:
            yield response

    def _check_range(self, response: Any, at: int) -> int:
        """The size of the file; ModelFileError where these are not the bytes that were asked
        for."""
        name = without_password(self.url)
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status != 206 or not match or int(match[1]) != at or int(match[2]) < at:
            raise ModelFileError(
                f"{name}: the server does not serve byte ranges, so the header cannot be read "
                "alone; download the file and name its path"
            )
        if (packed := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise ModelFileError(
                f"{name}: the server packs what it sends ({packed[:40]}), though it was not asked "
                "to; download the file and name its path"
            )
        total_bytes = int(match[3])
        if total_bytes <= int(match[2]) or self.total_bytes not in (0, total_bytes):
            raise ModelFileError(f"{name}: the file changed while it was read; try again")
        return total_bytes

    def _too_much(self, what: str) -> ModelFileError:
        return ModelFileError(
            f"{without_password(self.url)}: the header takes more {what} than a header may "
            f"({size(len(self.data))} of it came); download the file and name its path"
        )


def _read_part(remote: _RemoteFile, budget: _Budget, *, limit_bytes: int) -> GGUFFile:
    name, wanted = without_password(remote.url), FIRST_BYTES
    while True:
        remote.grow(min(wanted, limit_bytes))
        try:
            return parse_header(bytes(remote.data), name=name, file_bytes=remote.total_bytes)
        except TruncatedHeaderError as error:
            if len(remote.data) >= limit_bytes or budget.n_bytes <= 0:
                raise ModelFileError(
                    f"{name}: the header is not complete within {size(limit_bytes)}; download the "
                    "file and name its path"
                ) from None
            wanted = min(
                max(2 * len(remote.data), error.needed_bytes), len(remote.data) + budget.n_bytes
            )


def read_remote_gguf(
    reference: str,
    *,
    limit_bytes: int = MAX_HEADER_BYTES,
    timeout_s: float = 20.0,
    pause_s: float = 0.5,
    deadline_s: float = DEADLINE_S,
) -> GGUFFile:
    """The header behind a URL or `hf:` reference; of a split model the headers of all its parts.

    At most `limit_bytes` are fetched, of all parts together, in at most REQUESTS requests and
    `deadline_s` seconds. `timeout_s` is the longest silence of the server, `pause_s` the first wait
    after a broken connection (it doubles). Raises ModelFileError: one sentence with what the server
    answered, or the byte offset of what is malformed; WebError for a redirect that is refused.
    """
    try:
        url, login = split_login(resolve_url(reference))
        scheme, host, path, query, _ = urlsplit(url)
    except ValueError:  # an unclosed bracket in the host
        scheme = host = path = query = ""
    if scheme not in SCHEMES or not host.isascii():
        raise ModelFileError(f"{without_password(reference)} is no http or https address")
    folder, _, file_name = path.rpartition("/")
    folder = quote(folder, safe="/%:@!$&'()*+,;=~")
    budget = _Budget(n_bytes=limit_bytes, n_requests=REQUESTS, seconds=deadline_s)

    def read(name: str) -> GGUFFile:
        part = urlunsplit((scheme, host, f"{folder}/{quote(name)}", query, ""))
        remote = _RemoteFile(part, login, budget, timeout_s=timeout_s, pause_s=pause_s)
        return _read_part(remote, budget, limit_bytes=limit_bytes)

    first_name = unquote(file_name)
    first = read(first_name)
    names = part_names(first, first_name)
    if len(names) > PARTS:
        raise ModelFileError(
            f"{without_password(url)} says that it is one of {len(names):,} parts; over the "
            f"network at most {PARTS} are read: download the files and name a path"
        )
    return join_parts([first if name == first_name else read(name) for name in names])
