"""``python -m sync_core sandbox``: the sandbox as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sync_core.sandbox.account import Account
from sync_core.sandbox.blueprint import DAY, DEFAULT_SEED, DEFAULT_UNTIL, Blueprint, Sizes
from sync_core.sandbox.limits import Limits
from sync_core.sandbox.server import SandboxServer

_DEFAULT_PORT = 12_111


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser("sandbox", help="a Stripe to try the product on")
    add_arguments(parser)
    parser.set_defaults(main=main)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=_DEFAULT_PORT, help="0 takes any free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seed", default=str(DEFAULT_SEED), help="equal seeds give equal accounts")
    sizes = Sizes()
    for name in ("customers", "products", "prices", "subscriptions", "invoices"):
        parser.add_argument(f"--{name}", type=int, default=getattr(sizes, name), metavar="N")
    parser.add_argument("--until", type=int, help="epoch second at which the account's two years end")
    parser.add_argument("--folder", type=Path, help="serve the recorded objects of this folder instead")
    parser.add_argument("--limits", type=Limits, default=Limits.OFF, choices=list(Limits))
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="up to this much more latency, drawn evenly")
    parser.add_argument("--watch-stdin", action="store_true", help="end when standard input is closed")


def main(args: argparse.Namespace) -> int:
    run = _serve(args)
    try:
        import uvloop
    except ImportError:
        asyncio.run(run)
    else:
        uvloop.run(run)
    return 0


async def _serve(args: argparse.Namespace) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if args.watch_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, ended), daemon=True).start()
    server = SandboxServer(
        account_factory(args),
        limits=args.limits,
        latency_ms=args.latency_ms,
        jitter_ms=args.jitter_ms,
        port=args.port,
        host=args.host,
    )
    async with server:
        sys.stdout.write(f"listening on {server.url}\n")
        sys.stdout.flush()
        await ended.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """A thread, since standard input may be a file or a terminal, which no event loop reads."""
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(ended.set)


def account_factory(args: argparse.Namespace) -> Callable[[str], Account]:
    """Each ``_acct…`` suffix has an account of its own, of the same sizes; a folder is one account for all keys."""
    if args.folder is not None:
        recorded = Account.from_folder(args.folder)
        return lambda _suffix: recorded
    sizes = Sizes(args.customers, args.products, args.prices, args.subscriptions, args.invoices)
    until = default_until(int(time.time())) if args.until is None else args.until
    return lambda suffix: Account.generated(Blueprint(f"{args.seed}{suffix and '/' + suffix}", sizes, until))


def default_until(now: int) -> int:
    """Fixed, so that an account is the same tomorrow; only a machine whose clock is behind it gets an earlier one."""
    return min(DEFAULT_UNTIL, now - now % DAY)
