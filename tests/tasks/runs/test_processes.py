"""Forks that can log and ask Redis, whatever other threads do."""

import logging
import os
import signal
import threading
import time
from pathlib import Path

from redis import Redis

from tasks.runs.processes import fork


def test_a_process_that_is_forked_while_a_thread_logs_can_log(tmp_path: Path):
    handler = logging.FileHandler(tmp_path / "log")
    logger = logging.getLogger("tests.forks")
    logger.addHandler(handler)
    is_over = threading.Event()

    def log() -> None:
        while not is_over.is_set():
            logger.warning("another line")

    thread = threading.Thread(target=log)
    thread.start()
    ends = []
    for _ in range(20):
        pid = fork()
        if pid == 0:
            signal.alarm(5)
            logger.warning("from the fork")
            os._exit(0)
        ends.append(os.waitpid(pid, 0)[1])
    is_over.set()
    thread.join()
    logger.removeHandler(handler)
    handler.close()
    assert ends == [0] * 20


def test_a_process_that_is_forked_while_a_thread_takes_a_connection_can_take_one():
    redis = Redis()
    is_over = threading.Event()

    def take() -> None:
        while not is_over.is_set():
            with redis.connection_pool._lock:
                time.sleep(0.001)

    thread = threading.Thread(target=take)
    thread.start()
    ends = []
    for _ in range(5):
        pid = fork(redis)
        if pid == 0:
            signal.alarm(5)
            redis.connection_pool.reset()
            os._exit(0)
        ends.append(os.waitpid(pid, 0)[1])
    is_over.set()
    thread.join()
    assert ends == [0] * 5
