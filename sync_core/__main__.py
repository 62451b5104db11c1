"""`python -m sync_core …`: what an operator does from a shell."""

from __future__ import annotations

import sys

from sync_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
