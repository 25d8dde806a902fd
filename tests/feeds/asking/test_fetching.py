import asyncio
import errno
import gzip
import random
import re
import socket
import threading
import time
import traceback
import tracemalloc
from typing import Any

import pytest
from aiohttp.resolver import ThreadedResolver

from feeds import exceptions
from feeds.asking import client, large, network
from feeds.asking.fetching import NO_VALIDATORS, Response, _parsed, fetch
from feeds.asking.rules import Rules
from feeds.asking.user_agent import user_agent
from feeds.asking.validators import Validators, after_document
from tests.feeds.site import Site, answer, drip, flood, raw

HEAD = b"HTTP/1.1 200 OK\r\n"


def get(site: Site, path: str = "/feed.xml", **options: Any) -> Response:
    options.setdefault("allowed_hosts", {site.host_port})
    return fetch_url(site.url(path), **options)


def fetch_url(url: str, validators: Validators = NO_VALIDATORS, **options: Any) -> Response:
    return asyncio.run(fetch(url, validators=validators, rules=Rules(**options)))


# Responses


def test_a_fetched_document_comes_back_with_its_headers(site):
    site.pages["/feed.xml"] = answer(
        body=b"<rss/>", Content_Type="text/xml", ETag='W/"a, 1"', Last_Modified="yesterday"
    )
    response = get(site)
    assert (response.status, response.body, response.url) == (200, b"<rss/>", site.url())
    assert response.content_type == "text/xml"
    assert after_document(response.url, response.headers).etag == 'W/"a, 1"'
    assert response.moved_to is None


def test_validators_of_a_fetch_are_sent_exactly_as_given(site):
    site.pages["/feed.xml"] = answer(304)
    known = Validators(site.url(), 'W/"a,b"', "Tue, 4 Mar 2025 9:30:00 +0000")
    response = get(site, validators=known)
    assert (response.status, response.body) == (304, b"")
    assert site.requests[0]["If-None-Match"] == 'W/"a,b"'
    assert site.requests[0]["If-Modified-Since"] == "Tue, 4 Mar 2025 9:30:00 +0000"


def test_a_fetch_without_validators_sends_no_conditions(site):
    site.pages["/feed.xml"] = answer()
    get(site)
    assert site.requests[0]["If-None-Match"] is None
    assert site.requests[0]["User-Agent"] == user_agent("")


def test_the_user_agent_says_what_we_are_and_whom_to_ask():
    about = "feed reader; 1 subscriber"
    product = r"django-schedule-ledger(/[\w.+]+)?"
    assert re.fullmatch(rf"{product} \({about}\)", user_agent(""))
    contact = "https://a.example/about"
    assert re.fullmatch(rf"{product} \({about}; \+{contact}\)", user_agent(contact))


@pytest.mark.parametrize("etag", [b"\xff", b"a\tb"])
def test_a_validator_that_cannot_be_stored_is_left_out(site, etag):
    site.pages["/feed.xml"] = raw(HEAD + b"ETag: " + etag + b"\r\nContent-Length: 0\r\n\r\n")
    response = get(site)
    assert after_document(response.url, response.headers).etag == ""


def test_credentials_in_a_fetched_url_are_sent_but_not_in_the_response(site):
    site.pages["/feed.xml"] = answer()
    url = site.url().replace("//", "//me:secret@")
    response = fetch_url(url, allowed_hosts={site.host_port})
    assert site.requests[0]["Authorization"].startswith("Basic ")
    assert "secret" not in response.url


def test_a_fetch_does_not_use_a_proxy_of_the_environment(site, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    site.pages["/feed.xml"] = answer()
    assert get(site).status == 200


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "401 Unauthorized. It needs a name"),
        (404, "404 Not Found. Look up"),
        (410, "410 Gone. It won't come back"),
        (429, "429 Too Many Requests. It is polled too often"),
        (503, "503 Service Unavailable. It will be tried again"),
        (599, "599. It will be tried again"),
    ],
)
def test_an_http_error_status_is_reported_with_advice(site, status, advice):
    site.pages["/feed.xml"] = answer(status)
    with pytest.raises(exceptions.HttpStatus, match=advice) as caught:
        get(site)
    assert caught.value.status == status


# Redirects


def test_a_fetch_follows_a_redirect(site):
    site.pages |= {"/feed.xml": answer(302, Location="new.xml"), "/new.xml": answer(body=b"x")}
    response = get(site)
    assert (response.body, response.url, response.moved_to) == (b"x", site.url("/new.xml"), None)


def test_a_fetch_reports_where_permanent_redirects_lead(site):
    site.pages |= {
        "/feed.xml": answer(301, Location="/b"),
        "/b": answer(308, Location="/c"),
        "/c": answer(),
    }
    assert get(site).moved_to == site.url("/c")


def test_a_fetch_does_not_report_redirects_that_are_only_partly_permanent(site):
    site.pages |= {
        "/feed.xml": answer(301, Location="/b"),
        "/b": answer(302, Location="/c"),
        "/c": answer(),
    }
    assert get(site).moved_to is None


def test_a_fetch_gives_up_on_a_redirect_loop(site):
    site.pages["/feed.xml"] = answer(302, Location="/feed.xml")
    with pytest.raises(exceptions.BadRedirect, match="more than 5 times"):
        get(site)
    assert len(site.requests) == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a.example/", "gopher:x"])
def test_a_redirect_to_something_else_than_a_web_address_is_refused(site, target):
    site.pages["/feed.xml"] = answer(302, Location=target)
    with pytest.raises(exceptions.BadRedirect, match="not a web address"):
        get(site)


def test_credentials_follow_a_redirect_to_a_whole_address_of_the_same_site(site):
    site.pages |= {
        "/feed.xml": answer(301, Location=site.url("/new.xml")),
        "/new.xml": answer(),
    }
    url = site.url().replace("//", "//me:secret@")
    response = fetch_url(url, allowed_hosts={site.host_port})
    first, second = (request["Authorization"] for request in site.requests)
    assert first == second
    assert response.moved_to == site.url("/new.xml").replace("//", "//me:secret@")


def test_credentials_do_not_follow_a_redirect_to_another_site(site, other_site):
    site.pages["/feed.xml"] = answer(302, Location=other_site.url())
    other_site.pages["/feed.xml"] = answer()
    url = site.url().replace("//", "//me:secret@")
    fetch_url(url, allowed_hosts={site.host_port, other_site.host_port})
    assert other_site.requests[0]["Authorization"] is None


# Private addresses


def test_a_fetch_from_a_private_address_is_refused_before_anything_is_sent(site):
    with pytest.raises(exceptions.RefusedAddress, match=f"add {site.host_port} to FEEDS_ALLOWED"):
        get(site, allowed_hosts=frozenset())
    assert site.requests == []


def test_a_redirect_from_an_allowed_host_to_another_private_port_is_refused(site, other_site):
    site.pages["/feed.xml"] = answer(302, Location=other_site.url())
    with pytest.raises(exceptions.RefusedAddress):
        get(site)
    assert other_site.requests == []


def test_another_name_of_an_allowed_private_address_is_refused(site):
    site.pages["/feed.xml"] = answer(302, Location=f"http://localhost:{site.server_port}/x")
    with pytest.raises(exceptions.RefusedAddress):
        get(site)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_a_fetch_refuses_a_private_address_however_it_is_written(site, host):
    with pytest.raises((exceptions.RefusedAddress, exceptions.BadUrl)):
        fetch_url(f"http://{host}:{site.server_port}/feed.xml")
    assert site.requests == []


# Limits


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"HTTP/1.1 200 ", b"O"),
        (HEAD, b"X-Drop: x\r\n"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["status line", "headers", "body", "chunks"],
)
def test_a_fetch_from_a_dripping_server_runs_into_the_total_timeout(site, first, drop):
    site.pages["/feed.xml"] = drip(first, drop)
    with pytest.raises(exceptions.FetchTimeout, match="took too long"):
        get(site, total_timeout=0.5)


def test_the_total_timeout_of_a_fetch_covers_all_redirects(site):
    site.pages |= {"/feed.xml": answer(302, Location="/b"), "/b": drip(HEAD, b"X-Drop: x\r\n")}
    with pytest.raises(exceptions.FetchTimeout):
        get(site, total_timeout=0.5)


def test_a_fetched_body_above_the_limit_is_refused(site):
    site.pages["/feed.xml"] = answer(body=b"x" * 1001)
    with pytest.raises(exceptions.TooLarge, match="larger than"):
        get(site, max_bytes=1000)


def test_a_fetched_body_at_the_limit_is_accepted(site):
    site.pages["/feed.xml"] = answer(body=b"x" * 1000)
    assert len(get(site, max_bytes=1000).body) == 1000


def test_an_endless_fetched_body_is_refused(site):
    site.pages["/feed.xml"] = flood(HEAD + b"\r\n", b"x" * 65536)
    with pytest.raises(exceptions.TooLarge):
        get(site)


def test_a_fetched_gzip_bomb_is_refused_and_does_not_fill_the_memory(site):
    bomb = gzip.compress(b"\0" * 200 * 2**20, compresslevel=6)
    site.pages["/feed.xml"] = answer(body=bomb, Content_Encoding="gzip")
    tracemalloc.start()
    with pytest.raises(exceptions.TooLarge, match="larger than 5 MiB"):
        get(site)
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


def test_a_compressed_fetched_document_is_decoded(site):
    body = gzip.compress(b"<rss/>")
    site.pages["/feed.xml"] = answer(body=body, Content_Encoding="gzip")
    assert get(site).body == b"<rss/>"


# Failures


@pytest.mark.parametrize(
    "page",
    [
        answer(500),
        answer(302, Location="x:"),
        raw(b"nonsense\r\n\r\n"),
        raw(HEAD + b"X: \0"),
        raw(b""),
    ],
)
def test_no_failure_of_a_fetch_shows_the_credentials(site, page):
    site.pages["/feed.xml"] = page
    url = site.url().replace("//", "//me:secret@")
    with pytest.raises(exceptions.FeedError) as caught:
        fetch_url(url, allowed_hosts={site.host_port})
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_fetch_reports_a_refused_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(exceptions.ConnectionFailed, match=f"no connection to 127.0.0.1:{port}"):
        fetch_url(f"http://127.0.0.1:{port}/", allowed_hosts={f"127.0.0.1:{port}"})


def test_a_fetch_reports_an_unknown_host_without_the_credentials():
    with pytest.raises(
        exceptions.HostNotFound, match=r"“nowhere\.invalid” was not found"
    ) as caught:
        fetch_url("http://me:secret@nowhere.invalid/feed.xml")
    assert str(caught.value).startswith("http://•••@nowhere.invalid/feed.xml: ")


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\nshort",
        HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        b"",
    ],
    ids=["nonsense", "short", "long header", "negative length", "nothing"],
)
def test_a_fetch_reports_a_broken_answer(site, answer):
    site.pages["/feed.xml"] = raw(answer)
    with pytest.raises((exceptions.BadResponse, exceptions.ConnectionFailed)):
        get(site)


def test_a_fetch_by_https_from_a_server_that_does_not_speak_it_is_reported(site):
    with pytest.raises(exceptions.ConnectionFailed, match="no secure connection"):
        fetch_url(site.url().replace("http:", "https:"), allowed_hosts={site.host_port})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "feed.xml",
        "ftp://a.example/",
        "http://",
        "http://a.example:99999/",
        "http://a..b/",
        "http://[::x]/",
    ],
)
def test_a_fetch_refuses_something_else_than_a_web_address(url):
    with pytest.raises(exceptions.BadUrl):
        fetch_url(url)


@pytest.mark.parametrize(
    ("answer_of_resolver", "error"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), exceptions.Unreachable),
        (socket.gaierror(socket.EAI_NONAME, "Name not known"), exceptions.HostNotFound),
    ],
)
def test_a_resolver_that_fails_is_not_a_name_that_does_not_exist(
    monkeypatch, answer_of_resolver, error
):
    async def resolve(*args: Any, **options: Any) -> Any:
        raise answer_of_resolver

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    with pytest.raises(error, match=r"feeds\.example"):
        asyncio.run(fetch("http://feeds.example/"))


def test_a_resolver_that_does_not_answer_is_not_a_server_that_takes_too_long(monkeypatch):
    async def resolve(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(30)

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    with pytest.raises(exceptions.Unreachable, match="timed out"):
        asyncio.run(fetch("http://feeds.example/", rules=Rules(connect_timeout=0.1)))


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENETUNREACH, exceptions.Unreachable),
        (errno.EMFILE, exceptions.Unreachable),
        (errno.ECONNREFUSED, exceptions.ConnectionFailed),
    ],
)
def test_what_no_server_can_cause_is_not_called_its_fault(monkeypatch, number, error):
    def no_socket(addr_info: Any) -> Any:
        raise OSError(number, "why")

    monkeypatch.setattr(client, "_public_socket", no_socket)
    with pytest.raises(error):
        asyncio.run(fetch("http://93.184.216.34/"))


def test_only_public_hosts_say_that_the_network_works(site, monkeypatch):
    monkeypatch.setattr(network, "_answered", {})
    site.pages["/"] = answer(body=b"x")
    asyncio.run(fetch(site.url("/"), rules=Rules(allowed_hosts=frozenset({site.host_port}))))
    assert not network.others_answer("feeds.example")


# What is asked for


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("/%7Ea/b%2Fc/%C3%A9?q=%7E+%2B", "/%7Ea/b%2Fc/%C3%A9?q=%7E+%2B"),
        ("/%c3%a9/a+b/100%", "/%c3%a9/a+b/100%"),
        ("/a b/\N{LATIN SMALL LETTER E WITH ACUTE}", "/a%20b/%C3%A9"),
        ("/a?b=[1]&c='x'", "/a?b=[1]&c='x'"),
    ],
)
@pytest.mark.parametrize("is_redirected", [False, True])
def test_what_is_escaped_in_an_address_is_asked_for_as_it_is_given(
    site, given, asked, is_redirected
):
    seen = []

    def page(handler: Any) -> None:
        seen.append(handler.path)
        answer()(handler)

    site.pages[asked.partition("?")[0]] = page
    if is_redirected:
        to = given.encode().decode("latin-1")  # as headers are written
        site.pages["/feed.xml"] = answer(302, Location=to)
    get(site, "/feed.xml" if is_redirected else given)
    assert seen == [asked]


def test_a_host_is_asked_for_by_the_name_that_the_dns_knows():
    address = _parsed("http://B\N{LATIN SMALL LETTER U WITH DIAERESIS}CHER.example?q=%7E")
    assert str(address) == "http://xn--bcher-kva.example/?q=%7E"


# How much at a time


def most_held(site: Site, number: int, limit: int) -> int:
    """Return how many of so many polls hold a body of 50,000 bytes at a time."""
    site.pages["/small"] = answer(body=b"small")
    held, most = 0, 0
    rules = Rules(allowed_hosts={site.host_port}, max_bytes=limit)

    async def poll() -> None:
        nonlocal held, most
        response = await fetch(site.url(), rules=rules)
        assert len(response.body) == 50_000
        held += 1
        most = max(most, held)
        await fetch(site.url("/small"), rules=rules)
        held -= 1

    async def polls() -> None:
        await asyncio.gather(*(poll() for _ in range(number)))

    asyncio.run(polls())
    return most


@pytest.mark.parametrize("headers", [{}, {"Content_Encoding": "gzip"}])
def test_of_large_bodies_only_so_much_is_held_at_a_time(site, monkeypatch, headers):
    """What is compressed may be as large as any, also if it doesn't say so."""
    monkeypatch.setattr(large, "SMALL", 100)
    monkeypatch.setattr(large, "ALL", 120_000)
    site.pages["/feed.xml"] = answer(body=gzip.compress(b"a" * 50_000), **headers)
    assert most_held(site, 6, limit=60_000) == 2


def test_a_large_body_of_known_length_takes_no_more_room_than_that(site, monkeypatch):
    monkeypatch.setattr(large, "SMALL", 100)
    monkeypatch.setattr(large, "ALL", 200_000)
    site.pages["/feed.xml"] = answer(body=b"a" * 50_000)
    assert most_held(site, 4, limit=150_000) == 4


def test_large_bodies_that_come_slowly_delay_no_other(site):
    large_body = b"a" * (large.SMALL + 1)
    site.pages["/slow"] = drip(b"HTTP/1.1 200 OK\r\n\r\n" + large_body, b"a")
    site.pages["/good"] = raw(b"HTTP/1.1 200 OK\r\n\r\n" + large_body)
    rules = Rules(allowed_hosts={site.host_port})

    async def polls() -> list[bool]:
        slow = [asyncio.ensure_future(fetch(site.url("/slow"), rules=rules)) for _ in range(5)]
        while len(large._holders) < 5:
            await asyncio.sleep(0.01)
        good = await fetch(site.url("/good"), rules=rules)
        assert len(good.body) == len(large_body)
        still = [not one.done() for one in slow]
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return still

    assert asyncio.run(asyncio.wait_for(polls(), 20)) == [True] * 5


def test_whoever_is_cancelled_while_it_waits_for_room_keeps_no_other_waiting(monkeypatch):
    monkeypatch.setattr(large, "ALL", 10)

    async def holds(size: int, done: asyncio.Event) -> None:
        await large.take_room(size)
        await done.wait()

    async def takes() -> None:
        done = asyncio.Event()
        holder = asyncio.ensure_future(holds(6, done))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(large.take_room(size)) for size in (10, 4)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await waiting[1]
        done.set()
        await holder
        await asyncio.create_task(large.take_room(10))

    asyncio.run(asyncio.wait_for(takes(), 5))


def test_of_the_requests_to_a_host_only_a_few_are_made_at_a_time_also_after_redirects(
    site, monkeypatch
):
    """Feeds that redirect to each other's hosts don't wait for each other either."""
    here, there = site.url("/").rstrip("/"), site.url("/").replace("127.0.0.1", "localhost")[:-1]
    begun, most = [0], [0]
    lock = threading.Lock()

    def counted(handler: Any) -> None:
        with lock:
            begun[0] += 1
            most[0] = max(most[0], begun[0])
        time.sleep(0.01)
        with lock:
            begun[0] -= 1
        answer()(handler)

    site.pages = {
        "/a": answer(302, Location=f"{there}/end-a"),
        "/b": answer(302, Location=f"{here}/end-b"),
        "/end-a": counted,
        "/end-b": answer(),
    }
    names = {site.host_port, site.host_port.replace("127.0.0.1", "localhost")}
    rules = Rules(allowed_hosts=names, at_a_time=1)

    async def polls() -> None:
        urls = [f"{here}/a", f"{there}/b"] * 4
        await asyncio.gather(*(fetch(url, rules=rules) for url in urls))

    asyncio.run(polls())
    assert most[0] == 1


# What is left of what can't be read


def test_the_beginning_of_a_document_that_is_too_large_is_kept(site):
    packed = gzip.compress(b"<rss>" + b"a" * 5_000)
    site.pages["/feed.xml"] = answer(body=packed, Content_Encoding="gzip", Content_Type="text/xml")
    with pytest.raises(exceptions.TooLarge) as caught:
        get(site, max_bytes=4_000)
    assert caught.value.beginning.startswith(b"<rss>aaa")
    assert caught.value.content_type == "text/xml"
    site.pages["/feed.xml"] = answer(body=b"<rss>" + b"a" * 5_000)
    with pytest.raises(exceptions.TooLarge) as caught:
        get(site, max_bytes=4_000)
    assert caught.value.beginning.startswith(b"<rss>aaa")


def test_the_beginning_of_a_document_whose_compression_is_broken_is_kept(site):
    packed = gzip.compress(b"<rss>" + random.Random(1).randbytes(20_000))[:15_000]
    site.pages["/feed.xml"] = answer(body=packed, Content_Encoding="gzip")
    with pytest.raises(exceptions.BadResponse) as caught:
        get(site)
    assert caught.value.beginning.startswith(b"<rss>")
