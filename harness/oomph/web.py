"""Asks servers over HTTP that are not trusted: which schemes, how long, and who gets a login.

Only http and https are spoken, also after a redirect, and no redirect leaves https. A login of the
address travels in a header to its own host alone. What is read is bounded by whoever reads.
"""

import base64
import threading
import time
from collections.abc import Callable
from http.client import HTTPMessage
from typing import IO, Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from oomph.errors import OomphError
from oomph.foreign_text import without_password

SCHEMES: Final = ("http", "https")
_GLANCE_S: Final = 0.2
"""How often a wait lets the program hear a signal."""
Found = TypeVar("Found")


class WebError(OomphError):
    """A server that is not talked to; the sentence says which, and why."""


def web_opener() -> OpenerDirector:
    """Opens http and https, through the environment's proxies; nothing else can be opened with it,
    no file and no FTP."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler,
        UnknownHandler,
        HTTPHandler,
        HTTPSHandler,
        HTTPDefaultErrorHandler,
        HTTPErrorProcessor,
        _SafeRedirect,
    ):
        opener.add_handler(handler())
    return opener


class _SafeRedirect(HTTPRedirectHandler):
    """Stays with http and https, does not leave https, and leaves the login behind where scheme or
    host change, which urllib does not."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        fp.close()  # urllib would read the body of a redirect to its end, which may have none
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        leaves_https = before.scheme == "https" and after.scheme != "https"
        if after.scheme not in SCHEMES or leaves_https:
            raise WebError(
                f"{without_password(req.full_url)} redirects to "
                f"{without_password(newurl)[:200]}, which is refused: a redirect stays with https, "
                "or with http; check the address"
            )
        if after.username is not None or after.password is not None:
            newurl = split_login(newurl)[0]
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and before[:2] != after[:2]:
            request.remove_header("Authorization")
        return request


def split_login(url: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, and the header that carries them; no header where
    there are none. ValueError for what is no address."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, {}
    login, _, host = parts.netloc.rpartition("@")
    header = base64.b64encode(unquote(login).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {header}"}


def within(seconds: float, call: Callable[[], Found]) -> Found:
    """What `call` gives, TimeoutError where it takes longer.

    A socket's own timeout starts anew with each byte; this one does not. The call is left to
    itself then, in a thread that ends with the program: it must not touch what others read.
    """
    found: list[Found] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:  # raised below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while thread.is_alive() and (left_s := until - time.monotonic()) > 0:
        thread.join(min(left_s, _GLANCE_S))  # a longer wait is deaf to a signal just before it
    if errors:
        raise errors[0]
    if not found:
        raise TimeoutError(f"it took longer than {max(seconds, 0):.3g} s")
    return found[0]
