"""The threads that runs share are for what leaves nothing behind; even so nothing is left."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from tasks.runs import shared_threads
from tasks.runs.shared_threads import SharedThreads, in_shared_thread, share
from tasks.runs.threads import all_ended, note_calls

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[..., Any]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedThreads]:
    """Return shared threads, of which there is one."""
    monkeypatch.setattr(shared_threads, "NUMBER", 1)
    shared = SharedThreads()
    yield shared
    shared.close()


@pytest.fixture
def call(threads: SharedThreads) -> Call:
    """Return what calls a function in the shared thread."""

    async def in_loop(func: Callable[..., Any]) -> Any:
        share(threads)
        return await in_shared_thread(func)

    return lambda func: asyncio.run(in_loop(func))


def session() -> Any:
    """Return this thread's connection to the database, opened if it isn't."""
    connection.ensure_connection()
    return connection.connection


def test_all_loops_that_share_it_have_the_same_thread_and_connection(call: Call):
    assert call(threading.get_ident) == call(threading.get_ident) != threading.get_ident()
    assert call(session) is call(session)


def test_a_transaction_that_is_left_open_is_rolled_back(
    call: Call, caplog: pytest.LogCaptureFixture
):
    before = call(session)
    call(lambda: transaction.atomic().__enter__())
    assert "left open" in caplog.text
    assert call(session) is not before


def test_a_connection_that_has_failed_is_made_anew(call: Call):
    def fail() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM nowhere")

    before = call(session)
    with pytest.raises(Exception, match="nowhere"):
        call(fail)
    assert call(session) is not before


def test_a_connection_that_broke_while_nobody_used_it_is_made_anew(
    call: Call, monkeypatch: pytest.MonkeyPatch
):
    before = call(session)
    backend = type(connections["default"])
    monkeypatch.setattr(shared_threads, "IDLE_SECONDS", -1.0)
    monkeypatch.setattr(backend, "is_usable", lambda self: self.connection is not before)
    assert call(session) is not before


def test_what_is_called_raises_to_its_caller(call: Call):
    def fail() -> None:
        raise OperationalError("no")

    with pytest.raises(OperationalError, match="no"):
        call(fail)
    assert call(lambda: 1) == 1


def test_what_waits_for_its_turn_is_not_called_once_its_run_is_cancelled(threads: SharedThreads):
    called: list[str] = []
    begun, release = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        release.wait(20)

    async def run() -> None:
        share(threads)
        calls = note_calls()
        first = asyncio.create_task(in_shared_thread(block))
        await asyncio.to_thread(begun.wait, 20)
        second = asyncio.create_task(in_shared_thread(called.append, "second"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        assert len(calls) == 1, "the blocked one is known to go on"
        release.set()
        await first
        await all_ended(calls)

    asyncio.run(run())
    assert called == []


def test_where_no_threads_are_shared_it_is_called_in_another_thread_nonetheless():
    assert asyncio.run(in_shared_thread(threading.get_ident)) != threading.get_ident()
