"""The commands behind `python -m sync_core`. Answers go to standard output alone, so that scripts can read them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import psycopg
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from sync_core import logs
from sync_core.errors import ConfigError, CypheraError, Refusal
from sync_core.settings import get_settings
from sync_core.store.database import Database

T = TypeVar("T")
_CONFIG = 2


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0 done, 1 refused or failed, 2 wrong settings or arguments. Of `report`: see there."""
    args = parser().parse_args(argv)
    try:
        logs.configure(get_settings())
        code: int = args.main(args)
    except (ConfigError, ValidationError) as wrong:
        return _say(_one_line(wrong), _CONFIG)
    except (OperationalError, psycopg.OperationalError) as away:
        return _say(f"The database does not answer: {_one_line(getattr(away, 'orig', None) or away)}", 1)
    except CypheraError as failed:
        return _say(_one_line(failed), 1)
    except KeyboardInterrupt:
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m sync_core", description="Cyphera Sync from a shell.")
    commands = made.add_subparsers(required=True, metavar="command")
    _add(commands, "migrate", "bring the database's schema up to date", _migrate)
    owner = _add(commands, "create-owner", "an owner, or a new password for one", _create_owner)
    owner.add_argument("--email", required=True)
    owner.add_argument("--password", required=True)
    _add(commands, "list-workspaces", "id and name of each, a tab between", _list_workspaces)
    key = _add(commands, "create-api-key", "print a new key, once", _create_api_key)
    key.add_argument("--workspace", required=True, type=UUID, metavar="ID")
    key.add_argument("--level", required=True, choices=("read", "write", "admin"))
    key.add_argument("--name", default="")
    _add(commands, "database-url", "print the address of the database in use", _database_url)
    _add(commands, "worker", "start due syncs without a dashboard", _worker)
    run = _add(commands, "run", "drive one sync to its end", _run)
    run.add_argument("--session", required=True, type=UUID, metavar="ID")
    report = _add(
        commands, "report", "print a sync's report; the exit code is 0 nothing to change, 2 changes, 1 errors", _report
    )
    report.add_argument("--workspace", required=True, type=UUID, metavar="ID")
    report.add_argument("--session", required=True, type=UUID, metavar="ID")
    report.add_argument("--format", default="md", choices=("csv", "ndjson", "json", "md"))
    _add_sandbox(commands)
    return made


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    about: str,
    action: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(main=action)
    return parser


def _add_sandbox(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from sync_core.sandbox.cli import add_parser

    add_parser(commands)


def _migrate(_args: argparse.Namespace) -> int:
    from sync_core.store import migrate
    from sync_core.store.embedded import database_url

    migrate.upgrade(database_url())
    return 0


def _create_owner(args: argparse.Namespace) -> int:
    from sync_core.services import accounts

    return _tell(
        _with_database(lambda database: accounts.create_owner(database, email=args.email, password=args.password)),
        silent=True,
    )


def _list_workspaces(_args: argparse.Namespace) -> int:
    from sync_core.services import accounts

    for workspace in _with_database(accounts.workspaces):
        sys.stdout.write(f"{workspace.id}\t{workspace.name}\n")
    return 0


def _create_api_key(args: argparse.Namespace) -> int:
    from sync_core.services import api_keys

    level = api_keys.KeyLevel(args.level)
    return _tell(_with_database(lambda database: api_keys.issue(database, args.workspace, level=level, name=args.name)))


def _database_url(_args: argparse.Namespace) -> int:
    from sync_core.store.embedded import database_url

    sys.stdout.write(f"{database_url(leave_running=True)}\n")
    return 0


def _worker(_args: argparse.Namespace) -> int:
    import signal

    import uvloop

    from sync_core.jobs import scheduler

    async def serve() -> None:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with scheduler.running():
            await ended.wait()

    uvloop.run(serve())
    return 0


def _run(args: argparse.Namespace) -> int:
    from sync_core.jobs import child
    from sync_core.services import conflict_rules

    return child.main(str(args.session), ended=conflict_rules.apply_to_run)


def _report(args: argparse.Namespace) -> int:
    """With the exit code that pipelines know from Terraform."""
    from sync_core.services import report_export

    async def written(database: Database) -> int | Refusal:
        wanted = report_export.Format(args.format)
        made = await report_export.for_shell(database, args.workspace, args.session, wanted)
        if isinstance(made, Refusal):
            return made
        code, file = made
        async for chunk in file.chunks:
            sys.stdout.buffer.write(chunk)
        return code

    code = _with_database(written)
    return _tell(code) if isinstance(code, Refusal) else code


def _with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """The work, on a migrated database with its first workspace, so that any command may be the first one ever."""
    from sync_core.services import accounts
    from sync_core.store import migrate
    from sync_core.store.embedded import database_url

    url = database_url()
    migrate.upgrade(url)

    async def run() -> T:
        database = Database(url, pool_size=2)
        try:
            await accounts.first_start(database, setup_link=False)
            return await work(database)
        finally:
            await database.dispose()

    return asyncio.run(run())


def _tell(answer: object, *, silent: bool = False) -> int:
    if isinstance(answer, Refusal):
        return _say(answer.message, 1)
    if not silent:
        sys.stdout.write(f"{answer}\n")
    return 0


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"sync_core: {message}\n")
    return code


def _one_line(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}" for problem in error.errors()
        )
    return " ".join(str(error).split())
