"""`python -m sync_core` as an operator runs it: a process, its output, its exit code, and the embedded server behind it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from sync_core.domain.vocabulary import EntityType
from sync_core.store.runs import RunConfig

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("PORT", "PUBLIC_URL", "DATABASE_URL", "DATA_DIR", "DEMO", "LOG_LEVEL")


def environment(**given: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SETTINGS} | given


def command(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sync_core", *arguments],
        cwd=ROOT,
        env=environment(**given),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never {what}"
        signal.sigtimedwait([], 0.1)


def running_server(folder: Path) -> bool:
    return (folder / "pg" / "postmaster.pid").exists()


def server_user(data_dir: Path) -> subprocess.Popen[str]:
    """A process that prints the embedded server's address, and uses it until its standard input ends."""
    program = "import sys; from sync_core.store.embedded import database_url; print(database_url(), flush=True); sys.stdin.read()"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(DATA_DIR=str(data_dir)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short enough for a socket's path, and off the working folder."""
    folder = Path(tempfile.mkdtemp(prefix="cyphera-"))
    yield folder
    wait_for(lambda: not running_server(folder), "stopped the embedded server")
    shutil.rmtree(folder)


def test_commands_answer_on_standard_output_alone(database_url: str) -> None:
    listed = command("list-workspaces", DATABASE_URL=database_url)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert re.fullmatch(r"[0-9a-f-]{36}\tDefault\n", listed.stdout)

    workspace = listed.stdout.partition("\t")[0]
    made = command("create-api-key", "--workspace", workspace, "--level", "write", DATABASE_URL=database_url)
    assert (made.returncode, made.stderr) == (0, "")
    assert re.fullmatch(r"csk_\S{51}\n", made.stdout)

    owned = command("create-owner", "--email", "a@example.com", "--password", "long enough", DATABASE_URL=database_url)
    assert (owned.returncode, owned.stdout, owned.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        pytest.param((), 2, "command", id="no command"),
        pytest.param(("fly",), 2, "invalid choice: 'fly'", id="unknown command"),
        pytest.param(("create-api-key", "--workspace", "x", "--level", "read"), 2, "invalid UUID", id="no UUID"),
        pytest.param(
            ("create-api-key", "--workspace", str(UUID(int=0)), "--level", "root"),
            2,
            "invalid choice",
            id="unknown level",
        ),
        pytest.param(
            ("create-api-key", "--workspace", str(UUID(int=0)), "--level", "read"), 1, "No such workspace", id="unknown"
        ),
        pytest.param(
            ("create-owner", "--email", "a@example.com", "--password", "short"),
            1,
            "between 10 and",
            id="short password",
        ),
        pytest.param(("run", "--session", "x"), 2, "invalid UUID", id="no session"),
        pytest.param(
            ("report", "--workspace", str(UUID(int=0)), "--session", str(UUID(int=0))),
            1,
            "no such sync",
            id="no report",
        ),
    ],
)
def test_mistakes_are_told_and_nothing_is_answered(
    database_url: str, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    done = command(*arguments, DATABASE_URL=database_url)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "exit_code", "said"),
    [
        pytest.param({"PORT": "many"}, 2, "PORT", id="a port that is none"),
        pytest.param({"LOG_LEVEL": "loud"}, 2, "LOG_LEVEL", id="a level that is none"),
        pytest.param({"DATABASE_URL": "mysql://localhost/x"}, 2, "PostgreSQL is the only", id="another database"),
        pytest.param({"DATABASE_URL": "nonsense"}, 2, "DATABASE_URL", id="no address"),
        pytest.param({"DATABASE_URL": "postgresql://127.0.0.1:9/x"}, 1, "does not answer", id="nobody there"),
        pytest.param({"DATA_DIR": "/dev/null/x"}, 2, "did not start", id="an impossible folder"),
        pytest.param({"DATA_DIR": "a b"}, 2, "Set DATA_DIR", id="a folder with a blank"),
    ],
)
def test_wrong_settings_are_one_line(given: dict[str, str], exit_code: int, said: str) -> None:
    done = command("list-workspaces", **given)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


_PLANNED = """
WITH made AS (
  INSERT INTO payment_sync_sessions (workspace_id, entity_types, config, status, phase, dry_run, created_by, started_at, completed_at)
  SELECT id, ARRAY['customers'], %s, 'completed', 'done', true, 'test', now(), now()
  FROM workspaces RETURNING workspace_id, id
)
INSERT INTO payment_sync_entity_runs (workspace_id, session_id, entity_type, requested, created)
SELECT workspace_id, id, 'customers', true, 3 FROM made RETURNING workspace_id, session_id
"""


def test_a_report_on_standard_output_ends_with_the_exit_code_for_changes(database_url: str) -> None:
    assert command("list-workspaces", DATABASE_URL=database_url).returncode == 0
    wanted = RunConfig(entity_types=(EntityType.CUSTOMERS,), dry_run=True)
    with psycopg.connect(database_url, autocommit=True) as connection:
        [(workspace, session)] = connection.execute(_PLANNED, [Jsonb(wanted.to_json())]).fetchall()
    given = ("report", "--workspace", str(workspace), "--session", str(session))
    done = command(*given, DATABASE_URL=database_url)
    assert (done.returncode, done.stderr) == (2, "")
    assert "Would create 3, change 0" in done.stdout


def test_the_embedded_server_ends_with_its_last_user_and_keeps_what_was_written(data_dir: Path) -> None:
    first = command("list-workspaces", DATA_DIR=str(data_dir))
    assert (first.returncode, first.stderr) == (0, "")
    assert not running_server(data_dir)
    assert command("list-workspaces", DATA_DIR=str(data_dir)).stdout == first.stdout


def test_the_printed_address_can_be_used_and_a_short_command_does_not_stop_the_server_under_a_long_one(
    data_dir: Path,
) -> None:
    worker = server_user(data_dir)
    try:
        assert worker.stdout is not None
        address = worker.stdout.readline().strip()
        assert command("list-workspaces", DATA_DIR=str(data_dir)).returncode == 0
        printed = command("database-url", DATA_DIR=str(data_dir)).stdout.strip()
        assert printed == address
        with psycopg.connect(printed) as connection:
            row = connection.execute(
                "SELECT current_setting('fsync'), current_setting('synchronous_commit'), setting::int * 8 / 1024"
                " FROM pg_settings WHERE name = 'shared_buffers'"
            ).fetchone()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        assert row == ("on", "on", min(512, max(128, memory // 8)))
    finally:
        worker.communicate(timeout=120)


def test_a_server_whose_user_was_killed_is_joined_and_ended_by_the_next_one(data_dir: Path) -> None:
    worker = server_user(data_dir)
    assert worker.stdout is not None
    worker.stdout.readline()
    worker.kill()
    worker.communicate(timeout=120)
    assert running_server(data_dir)
    assert command("list-workspaces", DATA_DIR=str(data_dir)).returncode == 0
    assert not running_server(data_dir)


def test_a_pid_file_of_another_program_does_not_keep_the_server_from_starting(data_dir: Path) -> None:
    """As a container's second start finds it: the number lives, and is somebody else's."""
    assert command("migrate", DATA_DIR=str(data_dir)).returncode == 0
    folder = data_dir / "pg"
    (folder / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n1\n5432\n{folder}\n\n0 0\nready\n")
    assert command("migrate", DATA_DIR=str(data_dir)).returncode == 0


def test_a_worker_that_is_told_to_end_finishes_what_it_is_at(database_url: str) -> None:
    command("migrate", DATABASE_URL=database_url)
    with psycopg.connect(database_url) as holder:
        # Its tick waits for this table, so it is at work when the signal comes.
        holder.execute("LOCK TABLE payment_sync_leases IN ACCESS EXCLUSIVE MODE")
        worker = subprocess.Popen(
            [sys.executable, "-m", "sync_core", "worker"],
            cwd=ROOT,
            env=environment(DATABASE_URL=database_url),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_for(lambda: waiting_for_a_lock(database_url), "asked the database")
        finally:
            worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=120)
    assert (worker.returncode, "Traceback" in said) == (0, False)


def waiting_for_a_lock(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cyphera-sync'"
            " AND datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return found is not None and found[0] > 0
