"""What runs write at the same time is written in one transaction, and each has what came of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection, transaction

from tasks.models import Tag
from tasks.runs.shared_transactions import SharedTransactions, in_shared_transaction, share

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[[], Any]


@pytest.fixture
def transactions() -> Iterator[SharedTransactions]:
    shared = SharedTransactions()
    yield shared
    shared.close()


def together(transactions: SharedTransactions, *calls: Call) -> list[Any]:
    """Make calls that all have come before the first of them is made; return what comes of them."""

    async def in_loop() -> list[Any]:
        share(transactions)
        may_begin = threading.Event()
        first = asyncio.create_task(in_shared_transaction(may_begin.wait))
        others = [asyncio.create_task(in_shared_transaction(call)) for call in calls]
        await asyncio.sleep(0)
        await asyncio.to_thread(may_begin.set)
        await first
        return await asyncio.gather(*others, return_exceptions=True)

    return asyncio.run(in_loop())


def add(name: str) -> str:
    return Tag.objects.create(name=name).name


def names() -> set[str]:
    return set(Tag.objects.values_list("name", flat=True))


def test_what_comes_together_is_written_in_one_transaction(transactions: SharedTransactions):
    happened: list[str] = []

    def first() -> str:
        transaction.on_commit(lambda: happened.append("committed"))
        return add("a")

    def second() -> str:
        happened.append("second")
        return add("b")

    assert together(transactions, first, second) == ["a", "b"]
    assert happened == ["second", "committed"]
    assert names() == {"a", "b"}


def test_what_one_raises_undoes_only_what_it_has_written(transactions: SharedTransactions):
    def fail() -> None:
        add("undone")
        raise ValueError("no")

    before, error, after = together(transactions, lambda: add("a"), fail, lambda: add("b"))
    assert (before, str(error), after) == ("a", "no", "b")
    assert names() == {"a", "b"}


def test_what_cannot_be_written_together_is_written_one_by_one(transactions: SharedTransactions):
    tries: list[bool] = []

    def fail_at_first() -> str:
        tries.append(True)
        if len(tries) == 1:
            raise OperationalError("server closed the connection")
        return add("b")

    assert together(transactions, lambda: add("a"), fail_at_first) == ["a", "b"]
    assert names() == {"a", "b"}


def test_an_outage_is_raised_by_what_it_hits(transactions: SharedTransactions):
    def fail() -> None:
        raise OperationalError("server closed the connection")

    error, written = together(transactions, fail, lambda: add("a"))
    assert isinstance(error, OperationalError)
    assert (written, names()) == ("a", {"a"})


def test_where_nothing_is_shared_it_has_a_transaction_of_its_own():
    def is_in_transaction() -> bool:
        return connection.in_atomic_block

    assert async_to_sync(in_shared_transaction)(is_in_transaction)
