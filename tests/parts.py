"""`make test`: all tests in parts, two at a time, each in a process of its own. They wait more than they compute.

With arguments for pytest there is one process, which gets them.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PYTEST = (sys.executable, "-m", "pytest", "-m", "not bench and not chaos", "--durations=8")
_ROOT = Path(__file__).parents[1]
_AT_ONCE = 2
# Of each, the files that begin so and not as one before it: the last is of all that is left. Long ones first, so that both processes end together.
_PARTS = (
    "tests/e2e/",
    "tests/integration/test_engine_property",
    "tests/integration/test_engine_",
    "tests/integration/",
    "tests/unit/",
    "tests/",
)


def main(arguments: list[str]) -> int:
    if arguments:
        return subprocess.call([*_PYTEST, *arguments])
    return asyncio.run(_all())


async def _all() -> int:
    left = iter(parts().items())
    failed = await asyncio.gather(*(_one_after_the_other(left) for _ in range(_AT_ONCE)))
    return int(any(failed))


def parts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in _PARTS}
    for path in sorted(_ROOT.glob("tests/**/test_*.py")):
        file = path.relative_to(_ROOT).as_posix()
        found[next(name for name in _PARTS if file.startswith(name))].append(file)
    return found


async def _one_after_the_other(left: Iterator[tuple[str, list[str]]]) -> bool:
    """Whether one failed. What is left is shared: whoever is done takes the next."""
    failed = False
    for name, files in left:
        failed |= await _run(name, files) != 0
    return failed


async def _run(name: str, files: list[str]) -> int:
    began = time.monotonic()
    print(f"{name} begins", flush=True)  # noqa: T201 - a command's own output
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            *_PYTEST, *files, cwd=_ROOT, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            code = await process.wait()
        finally:
            # Ctrl-C reaches it too: it ends its servers by itself.
            await process.wait()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    took = round(time.monotonic() - began)
    print(f"{name} {'failed' if code else 'passed'}, {took // 60}:{took % 60:02}", flush=True)  # noqa: T201 - the same
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
