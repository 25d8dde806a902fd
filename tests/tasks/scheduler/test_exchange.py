"""Two scripts are sent together; each has its own answer, and no answer is left for others."""

from collections.abc import Sequence
from typing import Any

import pytest
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import ResponseError

from tasks.scheduler.exchange import Call, Exchange

ECHO = "return ARGV[1]"
FAIL = "return redis.call('INCR', KEYS[1])"


def call(redis: Redis, text: str, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Call:
    return redis.register_script(text), keys, args


@pytest.fixture
def echoing(redis_connection: Redis) -> tuple[Call, Call]:
    redis_connection.script_load(ECHO)
    return call(redis_connection, ECHO, args=["first"]), call(
        redis_connection, ECHO, args=["second"]
    )


def in_use(redis: Redis) -> int:
    return len(redis.connection_pool._in_use_connections)


def test_each_of_two_scripts_is_answered_in_its_turn(
    redis_connection: Redis, echoing: tuple[Call, Call]
):
    exchange = Exchange(redis_connection, *echoing)
    assert [exchange.answer(), exchange.answer()] == [b"first", b"second"]
    assert redis_connection.ping()


def test_the_second_script_has_seen_what_the_first_one_did(redis_connection: Redis):
    add = "return redis.call('INCR', KEYS[1])"
    redis_connection.script_load(add)
    one: tuple[Script, list[str], list[Any]] = (redis_connection.register_script(add), ["n"], [])
    exchange = Exchange(redis_connection, one, one)
    assert [exchange.answer(), exchange.answer()] == [1, 2]


def test_a_server_that_has_forgotten_the_scripts_executes_them_nevertheless(
    redis_connection: Redis, echoing: tuple[Call, Call]
):
    redis_connection.script_flush()
    exchange = Exchange(redis_connection, *echoing)
    assert [exchange.answer(), exchange.answer()] == [b"first", b"second"]


@pytest.mark.parametrize("read", [0, 1])
def test_an_answer_that_was_given_up_is_no_one_elses(
    redis_connection: Redis, echoing: tuple[Call, Call], read: int
):
    exchange = Exchange(redis_connection, *echoing)
    for _ in range(read):
        exchange.answer()
    exchange.abandon()
    assert redis_connection.echo("mine") == b"mine"


def test_after_a_script_that_fails_its_connection_is_whole(
    redis_connection: Redis, echoing: tuple[Call, Call]
):
    redis_connection.set("text", "no number")
    redis_connection.script_load(FAIL)
    exchange = Exchange(redis_connection, call(redis_connection, FAIL, ["text"]), echoing[1])
    with pytest.raises(ResponseError):
        exchange.answer()
    assert redis_connection.echo("mine") == b"mine"


@pytest.mark.parametrize("end", ["answer", "abandon"])
def test_the_connection_is_given_back_once(
    redis_connection: Redis, echoing: tuple[Call, Call], end: str
):
    before = in_use(redis_connection)
    exchange = Exchange(redis_connection, *echoing)
    exchange.answer()
    getattr(exchange, end)()
    exchange.abandon()
    assert in_use(redis_connection) == before
