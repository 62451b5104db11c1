"""Runs as a watcher saw them, second by second."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "runs"
