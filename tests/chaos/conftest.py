"""What the chaos tests measured, said at the end of a run."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    noted = [noted for report in terminalreporter.stats.get("passed", []) for noted in report.user_properties]
    kills = [value for name, value in noted if name == "kill"]
    if kills:
        _say_kills(terminalreporter, kills)
    for name in sorted({name for name, _ in noted} - {"kill"}):
        values = [float(value) for found, value in noted if found == name]
        said = f"{name}: median {median(values):.2f}, most {max(values):.2f} ({len(values)} measured)"
        terminalreporter.write_line(said)


def _say_kills(terminalreporter: pytest.TerminalReporter, kills: list[tuple[Any, ...]]) -> None:
    phases = Counter(phase for phase, *_ in kills)
    again = [(pages, windows) for *_, pages, windows in kills if pages is not None]
    terminalreporter.write_line(
        f"{len(kills)} kills: " + ", ".join(f"{count} in {phase}" for phase, count in sorted(phases.items()))
    )
    if again:
        pages, windows = (sum(column) for column in zip(*again, strict=True))
        terminalreporter.write_line(
            f"pages to be read again: {pages} over {len(again)} kills with {windows} open windows;"
            f" most at once {max(again)[0]}"
        )
