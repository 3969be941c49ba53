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


@pytest.fixture
def dom(chromium: str, tmp_path: Path) -> Dom:
    """Opens HTML in the browser and returns the document as its scripts have left it, at most
    `wait_ms` after."""

    def opened(html: str, *, wait_ms: int = 3000) -> str:
        page = tmp_path / "page.html"
        page.write_text(html, encoding="utf-8")
        command = [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--virtual-time-budget={wait_ms}",
            "--dump-dom",
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        return done.stdout

    return opened
