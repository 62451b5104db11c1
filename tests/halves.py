"""`make test`: the browser's tests beside all others, each in a process of its own. Both wait more than they compute.

With arguments for pytest there is one process, which gets them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

_PYTEST = (sys.executable, "-m", "pytest", "-m", "not bench and not chaos", "--durations=12")
_BROWSERS = "tests/e2e"


def main(arguments: list[str]) -> int:
    if arguments:
        return subprocess.call([*_PYTEST, *arguments])
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen([*_PYTEST, _BROWSERS], stdout=said, stderr=subprocess.STDOUT)
        try:
            others = subprocess.call([*_PYTEST, f"--ignore={_BROWSERS}"])
            browsers = beside.wait()
        finally:
            beside.terminate()
            beside.wait()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
        sys.stdout.flush()
    return others or browsers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
