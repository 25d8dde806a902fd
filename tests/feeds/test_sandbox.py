import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from feeds import parser_pool, sandbox
from feeds.exceptions import NotAFeed, TooCostly
from feeds.reading import parser
from tests.feeds.documents import URL, document, rss

RSS = "application/rss+xml"
HOSTILE = rss("<a>" * 1_500_000)


def server() -> psutil.Process:
    """Return the server of the parsers, which this process has started."""
    children = [one for one in psutil.Process().children() if is_alive(one.pid)]
    (found,) = [one for one in children if "parser_pool" in " ".join(one.cmdline())]
    return found


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("name", ["rss20.xml", "rss10.rdf", "atom.xml", "cases/json-feed.json"])
def test_the_sandbox_reads_a_feed_as_the_parser_does(name):
    body = document(name)
    assert sandbox.parse(body, "text/xml", URL) == parser.parse(body, "text/xml", URL)


def test_the_sandbox_reads_a_feed_in_a_coroutine():
    body = document("rss20.xml")
    read = asyncio.run(sandbox.parse_async(body, "text/xml", URL))
    assert read == parser.parse(body, "text/xml", URL)


def test_the_sandbox_reports_a_document_that_is_not_a_feed():
    with pytest.raises(NotAFeed, match=f"{URL}: this is neither RSS nor Atom"):
        sandbox.parse(b"hello", "text/plain", URL)


def test_the_sandbox_tells_which_feeds_a_page_names():
    with pytest.raises(NotAFeed) as raised:
        sandbox.parse(document("cases/html-page.html"), "text/html", URL)
    assert [found.url for found in raised.value.found] == ["https://feeds.example/feed"]


@pytest.mark.parametrize(
    "body",
    [b"<?xml version='1.0'?><?x?>" + b"\n" * 200_000 + b"<rss version='2.0'/>", HOSTILE],
    ids=["newlines", "depth"],
)
def test_the_sandbox_gives_up_on_a_document_that_takes_too_long(body):
    with pytest.raises(TooCostly, match="takes more than 1 s"):
        sandbox.parse(body, RSS, URL, cpu_seconds=1)


def test_the_sandbox_gives_up_on_a_document_that_takes_too_much_memory():
    with pytest.raises(TooCostly, match="more than 10 s or 64 MiB"):
        sandbox.parse(rss("<item/>" * 500_000), RSS, URL, memory=64 * 2**20)


def test_a_feed_is_read_after_hostile_documents_have_met_their_limits():
    for _ in range(parser_pool.SIZE + 1):
        with pytest.raises(TooCostly):
            sandbox.parse(HOSTILE, RSS, URL, memory=64 * 2**20)
    assert sandbox.parse(rss(), RSS, URL).title == "News"


def test_a_feed_is_read_before_hostile_documents_have_met_their_limits():
    async def ended_before() -> int:
        hostile = [
            asyncio.create_task(sandbox.parse_async(HOSTILE, RSS, URL, cpu_seconds=2))
            for _ in range(parser_pool.SIZE)
        ]
        await asyncio.sleep(0)
        await sandbox.parse_async(rss(), RSS, URL)
        ended = sum(task.done() for task in hostile)
        ends = await asyncio.gather(*hostile, return_exceptions=True)
        assert [type(end) for end in ends] == [TooCostly] * len(hostile)
        return ended

    assert asyncio.run(ended_before()) == 0


def test_many_documents_are_read_at_the_same_time_in_threads():
    with ThreadPoolExecutor(8) as pool:
        titles = pool.map(lambda _: sandbox.parse(rss(), RSS, URL).title, range(40))
        assert set(titles) == {"News"}


def test_documents_are_read_by_a_bounded_number_of_processes():
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: sandbox.parse(rss(), RSS, URL), range(40)))
    assert len(server().children()) <= parser_pool.SIZE + parser_pool.MOST_SLOW


def test_a_forked_process_reads_documents_even_if_a_thread_was_about_to():
    sandbox.parse(rss(), RSS, URL)
    with sandbox._POOL._lock:  # as if another thread started the server while this one forks
        pid = os.fork()
        if pid == 0:
            os._exit(0 if sandbox.parse(rss(), RSS, URL).title == "News" else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_document_is_read_after_the_server_of_the_parsers_was_killed():
    sandbox.parse(rss(), RSS, URL)
    server().kill()
    assert sandbox.parse(rss(), RSS, URL).title == "News"


def test_the_parsers_end_when_nobody_is_left_to_work_for():
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        sandbox._POOL.forget()  # a server of its own
        sandbox.parse(rss(), RSS, URL)
        own = next(
            one for one in psutil.Process().children() if "parser_pool" in str(one.cmdline())
        )
        os.write(write, " ".join(str(one.pid) for one in [own, *own.children()]).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    pids = [int(text) for text in os.read(read, 1_000).split()]
    os.close(read)
    os.close(write)
    deadline = time.monotonic() + 20
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert len(pids) > 1
    assert not [number for number in pids if is_alive(number)]


def test_a_document_that_is_no_longer_waited_for_does_no_harm():
    async def given_up() -> str:
        task = asyncio.create_task(sandbox.parse_async(HOSTILE, RSS, URL, cpu_seconds=1))
        await asyncio.sleep(0.1)
        task.cancel()
        return (await sandbox.parse_async(rss(), RSS, URL)).title

    assert asyncio.run(given_up()) == "News"
