"""The Chromium that browser tests drive: `chromium()` finds one; `python -m tests.browser` makes sure that there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_INSTALL_SECONDS = 600
_HELP = "No Chromium was found. Install one, or name it in CHROMIUM_PATH."


def chromium() -> Path | None:
    """CHROMIUM_PATH, else the system's, else Playwright's own where it has been downloaded."""
    given = os.environ.get("CHROMIUM_PATH")
    if given:
        return Path(given) if os.access(given, os.X_OK) else None
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    return _playwrights()


def _playwrights() -> Path | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def ensure() -> bool:
    if chromium() is not None:
        return True
    if os.environ.get("CHROMIUM_PATH") or shutil.which("apt-get") is None or os.geteuid() != 0:
        return False
    print("Installing Chromium from the system's packages")  # noqa: T201 - a command's own output
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium", "fonts-liberation"],
    ):
        try:
            done = subprocess.run(
                command,
                check=False,
                timeout=_INSTALL_SECONDS,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode != 0:
            return False
    return chromium() is not None


if __name__ == "__main__":
    sys.exit(None if ensure() else _HELP)
