"""One running system for each DATA_DIR, on one port."""

import os
import socket
import subprocess
import sys

import pytest

from project import instance
from project.instance import AlreadyRunning, PortTaken

ADDRESS = "http://127.0.0.1:8000"


def test_a_second_system_on_a_data_dir_is_refused_with_the_address_of_the_first(tmp_path):
    lock = tmp_path / "up.lock"
    with instance.claim(lock, ADDRESS, print):
        with pytest.raises(AlreadyRunning, match=rf"{ADDRESS} \(pid {os.getpid()}\)"):
            instance.claim(lock, "http://127.0.0.1:9000", print)
        assert ADDRESS in lock.read_text()


def test_the_lock_of_a_data_dir_is_free_again_after_its_owner(tmp_path):
    lock = tmp_path / "up.lock"
    instance.claim(lock, ADDRESS, print).close()
    instance.claim(lock, ADDRESS, print).close()


def test_a_new_system_waits_for_the_programs_of_a_killed_one(tmp_path):
    lock = tmp_path / "up.lock"
    # The owner dies at once; its child, with the same lock, lives a little longer.
    code = (
        "import os, sys, time; from pathlib import Path; from project import instance\n"
        "lock = instance.claim(Path(sys.argv[1]), 'http://127.0.0.1:1', print)\n"
        "os.fork() or time.sleep(0.7)"
    )
    subprocess.run([sys.executable, "-c", code, str(lock)], check=True)
    messages: list[str] = []
    instance.claim(lock, ADDRESS, messages.append).close()
    assert messages == ["Waiting until the programs of an earlier start have ended…"]


def test_a_taken_port_is_refused_with_the_way_to_another():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} .*PORT=8001 make run"):
            instance.check_port(port)


def test_an_invalid_port_is_refused_with_the_way_to_another():
    with pytest.raises(PortTaken, match=r"Port 99999 .*PORT=8001 make run"):
        instance.check_port(99_999)


def test_a_port_that_was_just_in_use_can_be_used_again():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    instance.check_port(port)
