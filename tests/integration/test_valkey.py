"""The embedded Valkey, as `up` starts it."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from project import valkey
from project.valkey import SocketPathTooLong
from tests.servers import wait_for

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("v") / "valkey.sock"


@pytest.fixture
def start(socket: Path) -> Iterator[Start]:
    processes = []

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(valkey.command(socket, socket.with_name("valkey")))
        processes.append(process)
        wait_for(lambda: valkey.answers(socket), "an answer")
        return process

    yield start
    for process in processes:
        process.terminate()
        process.wait()


def test_only_its_owner_can_use_the_socket_of_valkey(start, socket):
    start()
    assert socket.stat().st_mode & 0o777 == 0o600


def test_every_write_survives_a_shutdown_of_a_valkey_that_was_left_behind(start, socket):
    left = start()
    Redis(unix_socket_path=str(socket)).set("key", "value")
    valkey.shut_down(socket)
    assert left.wait(10) == 0
    start()
    assert Redis(unix_socket_path=str(socket)).get("key") == b"value"


def test_shutting_down_valkey_where_none_is_running_does_nothing(socket):
    valkey.shut_down(socket)
    assert not valkey.answers(socket)


def test_a_path_too_long_for_the_socket_of_valkey_is_refused_with_what_to_do():
    with pytest.raises(SocketPathTooLong, match="Set DATA_DIR to a shorter path, or REDIS_URL"):
        valkey.check_socket_path(Path("/" + "x" * 100))
