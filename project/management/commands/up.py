"""`manage.py up`: the whole system in one terminal."""

import http.client
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError, connections
from django.utils.translation import gettext as _
from honcho.printer import Printer

from feeds.addresses import validate_url
from feeds.exceptions import BadUrl
from feeds.services import QUEUE
from project import first_start, instance, valkey
from project.reload import files, folders, state_of
from project.screen import Screen
from project.supervisor import Supervisor
from tasks.broker.workers import is_served
from tasks.exceptions import TasksError
from tasks.management.columns import fit, width

# How many feeds are polled side by side.
FEEDS_AT_ONCE = 100
MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
# In seconds, in addition to what the others need to stop: still within ten.
VALKEY_PATIENCE = (1.0, 0.5)


def typed(command: Sequence[str]) -> str:
    """Return a command as it can be typed in this folder."""
    here = Path.cwd()
    paths = (Path(part) for part in command)
    return shlex.join(str(p.relative_to(here) if p.is_relative_to(here) else p) for p in paths)


class Command(BaseCommand):
    help = (
        "Run the whole system in this terminal: web server, scheduler, workers and, unless "
        "REDIS_URL names a server, an embedded Valkey. Ctrl-C ends it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workers",
            type=int,
            default=settings.WORKERS,
            help="how many, besides the one for feeds (default: %(default)s)",
        )
        parser.add_argument(
            "--reload",
            action="store_true",
            help="restart the programs, after their current runs, when code has changed",
        )

    def handle(self, *args: Any, workers: int, reload: bool, **options: Any) -> None:
        # Feeds can contain any character, and not every terminal can show it.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        self.screen = Screen(sys.stdout)
        self._look_at = 0.0
        self.address = f"http://127.0.0.1:{settings.PORT}"
        try:
            lock = self._check(workers)
        except TasksError as error:
            raise CommandError(str(error)) from error
        with lock:
            try:
                self._run(workers, reload)
            except TasksError as error:
                raise CommandError(str(error)) from error

    def _check(self, workers: int) -> Any:
        """Report any mistake before anything is started, and lock DATA_DIR."""
        if workers < 1:
            raise CommandError(_("At least one worker is needed: --workers 1"))
        try:
            for url in settings.FEEDS:
                validate_url(url)
        except BadUrl as error:
            raise CommandError(_("FEEDS: %(error)s") % {"error": error}) from error
        if settings.EMBEDDED_VALKEY:
            valkey.check_socket_path(settings.VALKEY_SOCKET)
        lock = instance.claim(settings.DATA_DIR / "up.lock", self.address, self._say)
        instance.check_port(settings.PORT)
        return lock

    def _run(self, workers: int, reload: bool) -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            text = _("The database can't be used (DATABASE_URL): %(error)s") % {"error": error}
            raise CommandError(text) from error
        if first_start.is_new():
            first_start.keep_calls_for_a_month()
        supervisor = Supervisor(Printer(self.screen))
        try:
            self._supervise(supervisor, workers, reload)
        finally:
            supervisor.stop()
        if supervisor.failed:
            sys.exit(1)

    def _supervise(self, supervisor: Supervisor, workers: int, reload: bool) -> None:
        names = self._add_programs(supervisor, workers, reload)
        if not self._start_valkey(supervisor):
            return
        supervisor.start(*names)
        if supervisor.relay_until(lambda: self._is_ready()):
            # Only now: what is due before anything can run would begin with runs that are skipped.
            first_start.schedule_activity_feed(self.address)
            first_start.schedule_named_feeds()
            self._announce()
            connections.close_all()  # A watcher that is replaced must not share them.
            supervisor.relay_until(self._has_been_visited)
            self.screen.unpin()
            supervisor.relay_until(lambda: False)

    def _add_programs(self, supervisor: Supervisor, workers: int, reload: bool) -> list[str]:
        programs = {
            "web": [
                *(sys.executable, "-m", "gunicorn", "project.wsgi"),
                *("--bind", f"127.0.0.1:{settings.PORT}", "--chdir", str(settings.BASE_DIR)),
                *("--worker-class", "gthread", "--workers", "1", "--threads", "8"),
                *("--graceful-timeout", "3", "--no-control-socket", "--log-level", "warning"),
            ],
            "scheduler": [*MANAGE, "rqscheduler"],
        }
        for number in range(1, workers + 1):
            # RQ's own lines, five for each run, are left out; our own line for each run stays.
            rqworker = ["rqworker", "high", "default", "low", "--verbosity", "0"]
            programs[f"worker-{number}"] = [*MANAGE, *rqworker]
        # Feeds have a worker of their own: many at once, and none of them delays anything else.
        feeds = ["rqworker", QUEUE, "--concurrency", str(FEEDS_AT_ONCE), "--verbosity", "0"]
        programs["feeds"] = [*MANAGE, *feeds]
        if reload:
            code = state_of(files(folders()))  # As it is before any of them loads it.
            command = [sys.executable, "-m", "project.reload", str(os.getpid()), code]
            programs["reload"] = command
        for name, command in programs.items():
            child = supervisor.add_process(name, command, env=self._environment())
            # It is what says that there is new code.
            child.awaits_new_code = reload and name != "reload"
        supervisor.reload_by("web", signal.SIGHUP)
        if reload:
            supervisor.reload_by("reload", signal.SIGHUP)
        return list(programs)

    def _environment(self) -> dict[str, str]:
        """Return the programs' environment, in which the activity feed may be polled."""
        own = f"127.0.0.1:{settings.PORT}"
        return os.environ | {
            "ALLOWED_HOSTS": " ".join([*settings.ALLOWED_HOSTS, "127.0.0.1"]),
            "FEEDS_ALLOWED_HOSTS": " ".join([*settings.FEEDS_ALLOWED_HOSTS, own]),
            "ACTIVITY_FEED": "on" if settings.ACTIVITY_FEED_OF_UP else "off",
            "SUPERVISED": "on",
            "PYTHONUNBUFFERED": "1",
        }

    def _start_valkey(self, supervisor: Supervisor) -> bool:
        if not settings.EMBEDDED_VALKEY:
            return True
        socket = settings.VALKEY_SOCKET
        valkey.shut_down(socket)
        command = valkey.command(socket, settings.DATA_DIR / "valkey")
        supervisor.add_last("valkey", command, VALKEY_PATIENCE)
        supervisor.start("valkey")
        return supervisor.relay_until(lambda: valkey.answers(socket))

    def _is_ready(self) -> bool:
        return self._web_server_answers() and is_served("default") and is_served(QUEUE)

    def _web_server_answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", settings.PORT, timeout=1)
        with closing(connection):
            try:
                connection.request("HEAD", "/")
                connection.getresponse()
            except (OSError, http.client.HTTPException):
                return False
        return True

    def _announce(self) -> None:
        lines = [_("Open %(address)s/") % {"address": self.address}]
        if first_start.is_new():
            login = {"name": first_start.ADMIN, "password": first_start.make_admin()}
            lines += [
                _("Log in as %(name)s with the password %(password)s") % login,
                _("Only this first start shows it. Change it there, or with:"),
                typed([*MANAGE, "changepassword", first_start.ADMIN]),
            ]
        columns = max(map(width, lines))
        edge = f"+{'-' * (columns + 2)}+"
        self.screen.pin([edge, *(f"| {fit(line, columns)} |" for line in lines), edge])

    def _has_been_visited(self) -> bool:
        """Return whether somebody has logged in; looked up every second, without a connection."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + 1
        try:
            return not first_start.is_unvisited()
        except DatabaseError:
            return False
        finally:
            connections.close_all()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
