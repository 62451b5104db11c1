from __future__ import annotations

import argparse
import sys

from sync_core.sandbox.cli import add_arguments, main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m sync_core.sandbox")
    add_arguments(parser)
    sys.exit(main(parser.parse_args()))
