"""A real browser without a window, and what a page becomes in it."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
Dom = Callable[..., str]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that `scripts/browser` finds or installs."""
    for name in (os.environ.get("OOMPH_CHROMIUM"), *NAMES):
        found = shutil.which(name) if name else None
        if (
            found
            and subprocess.run([found, "--version"], capture_output=True, check=False).returncode
            == 0
        ):
            return found
    pytest.skip("no Chromium is installed; on Debian: apt-get install chromium")


def _command(chromium: str, profile: Path, *more: str) -> list[str]:
    return [
        chromium,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
        *more,
    ]


@pytest.fixture
def dom(chromium: str, tmp_path: Path) -> Dom:
    """Opens HTML, or the file of a page, in the browser and returns the document as its scripts
    have left it, at most `wait_ms` after; with `same_origin` its frames can be looked into."""

    def opened(
        html: str | Path, *, wait_ms: int = 3000, same_origin: bool = False, fragment: str = ""
    ) -> str:
        page = html if isinstance(html, Path) else tmp_path / "page.html"
        if isinstance(html, str):
            page.write_text(html, encoding="utf-8")
        command = _command(
            chromium,
            tmp_path / "profile",
            *(["--allow-file-access-from-files"] if same_origin else []),
            f"--virtual-time-budget={wait_ms}",
            "--dump-dom",
            page.as_uri() + (f"#{fragment}" if fragment else ""),
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        return done.stdout

    return opened


@pytest.fixture
def console(chromium: str, tmp_path: Path) -> Callable[[Path], str]:
    """Opens a page's file and returns what it says to the console."""

    def said(page: Path) -> str:
        command = _command(
            chromium,
            tmp_path / "profile",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
            "--dump-dom",
            page.as_uri(),
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        return "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)

    return said
