"""Where the benchmarks run: their own servers, a directory, and the environments."""

import functools
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import stamps
from benchmarks.call import MARK
from benchmarks.figures import Failed
from tests.servers import Postgres, Valkey, own_postgres

BASE_DIR = Path(__file__).resolve().parent.parent
PEERS_DIR = BASE_DIR / ".venv-bench"
# How long one call in another process may take.
TIMEOUT_SECONDS = 300
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
# Green threads and threads have a connection to PostgreSQL each.
MAX_CONNECTIONS = 300


@dataclass(frozen=True)
class Environment:
    """A virtual environment, with its Django settings, and what else its processes are told."""

    name: str
    bin: Path
    settings: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return str(self.bin / "python")


OURS = Environment("ours", Path(sys.executable).parent, "benchmarks.settings")
PEERS = Environment("peers", PEERS_DIR / "peers" / "bin", "benchmarks.peers.settings")
CELERY = Environment("celery", PEERS_DIR / "celery" / "bin", "benchmarks.peers.settings")
ARQ = Environment("arq", PEERS_DIR / "arq" / "bin", "benchmarks.peers.settings")
# It knows nothing of Django.
READER = Environment("reader", PEERS_DIR / "reader" / "bin", "")


class Site:
    """Servers and a directory that exist as long as the benchmarks run."""

    def __init__(self, directory: Path, valkey: Valkey) -> None:
        self.directory = directory
        self.valkey = valkey
        self.stamps = directory / "stamps"
        self.log = directory / "log"
        self._migrated: dict[tuple[str, str], str] = {}
        self._numbers = itertools.count()

    @contextmanager
    def database(self, environment: Environment, kind: str) -> Iterator[str]:
        """Give the URL of a fresh database with the environment's tables, inside the block."""
        template = self._template(environment, kind)
        if kind == POSTGRESQL:
            url = postgres().create_database(template)
            try:
                yield url
            finally:
                postgres().drop_database(url)
        else:
            url = self._new_sqlite()
            shutil.copy(_path(template), _path(url))
            try:
                yield url
            finally:
                for file in self.directory.glob(f"{_path(url).name}*"):
                    file.unlink()

    def _template(self, environment: Environment, kind: str) -> str:
        """Return the URL of the database of which all fresh ones are copies."""
        known = self._migrated.get((environment.name, kind))
        if known is None:
            postgresql = kind == POSTGRESQL
            known = postgres().create_database() if postgresql else self._new_sqlite()
            self.run(environment, known, "-m", "django", "migrate", "--run-syncdb", "-v", "0")
            if not postgresql:
                with closing(sqlite3.connect(_path(known))) as connection:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._migrated[environment.name, kind] = known
        return known

    def _new_sqlite(self) -> str:
        return f"sqlite:///{self.directory}/{next(self._numbers)}.sqlite3"

    def call(
        self,
        environment: Environment,
        database: str,
        target: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Call a function in a process of that environment; return its answer."""
        command = ("-m", "benchmarks.call", target, json.dumps(arguments))
        output = self.run(environment, database, *command, timeout=timeout)
        answers = [line for line in output.splitlines() if line.startswith(MARK)]
        if not answers:
            raise Failed(f"{target} returned no answer")
        answer: dict[str, Any] = json.loads(answers[-1].removeprefix(MARK))
        return answer

    def run(
        self,
        environment: Environment,
        database: str,
        *command: str,
        timeout: float = TIMEOUT_SECONDS,
    ) -> str:
        """Run Python with these arguments to completion; return what it printed."""
        self._check(environment)
        try:
            done = subprocess.run(
                [environment.python, *command],
                cwd=BASE_DIR,
                env=self._variables(environment, database),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"not done after {timeout} s") from error
        if done.returncode:
            with self.log.open("a") as log:
                log.write(done.stderr)
            raise Failed(_last_line(done.stderr) or f"exit code {done.returncode}")
        return done.stdout

    @contextmanager
    def running(
        self, environment: Environment, database: str, *command: str
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Run Python with these arguments inside the block, and stop all its processes after it."""
        self._check(environment)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [environment.python, *command],
                cwd=BASE_DIR,
                env=self._variables(environment, database),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            stop(process)

    def _check(self, environment: Environment) -> None:
        if not environment.bin.exists():
            raise Failed("its environment isn't installed: use `make bench`")

    def _variables(self, environment: Environment, database: str) -> dict[str, str]:
        kept = {"PATH", "HOME", "LANG", "TMPDIR"} & os.environ.keys()
        return {name: os.environ[name] for name in kept} | {
            "DATABASE_URL": database,
            "DATA_DIR": str(self.directory / "data"),
            "DJANGO_SETTINGS_MODULE": environment.settings,
            "LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(BASE_DIR),
            "PYTHONWARNINGS": "ignore",
            "REDIS_URL": self.valkey.url,
            "SECRET_KEY": "only-for-the-benchmarks",
            stamps.VARIABLE: str(self.stamps),
            **environment.variables,
        }

    def clear(self) -> None:
        """Empty Redis and the stamps."""
        self.valkey.client.flushall()
        self.stamps.write_bytes(b"")

    def wait_for(self, condition: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
        """Wait until the condition is true; return whether it was in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
        return True


@contextmanager
def running_site() -> Iterator[Site]:
    """Start the servers, and stop and delete everything at the end."""
    valkey = Valkey()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        valkey.start()
        # Programs are compared: no figure should depend on this machine's disk.
        valkey.client.config_set("appendonly", "no")
        try:
            yield Site(Path(directory), valkey)
        finally:
            valkey.stop()


@functools.cache
def postgres() -> Postgres:
    """Return the PostgreSQL server; the first call starts it."""
    server = own_postgres()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS}".encode())
    server.stop()
    server.start()
    return server


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process and all that it started; kill them if they don't exit."""
    for signum, seconds in ((signal.SIGTERM, 4), (signal.SIGKILL, 4)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


@contextmanager
def counter(database: str, query: str) -> Iterator[Callable[[], int]]:
    """Give a function that reads a number from a database."""
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(_path(database), timeout=20)) as lite:
            yield lambda: int(lite.execute(query).fetchone()[0])
    else:
        with psycopg.connect(database, autocommit=True) as connection:
            yield lambda: int(connection.execute(query.encode()).fetchone()[0])  # type: ignore[index]


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
