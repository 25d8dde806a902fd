"""The whole exchange between a site that hubs can reach, and a hub."""

import hashlib
import hmac
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync

from feeds.models import Feed, Subscription
from feeds.tasks import keep_subscriptions
from feeds.websub.words import push_in_words
from tasks.models import RunRequest
from tasks.services import SchedulerService
from tests.feeds.documents import item, rss
from tests.feeds.polled import poll, polled
from tests.feeds.site import Site, answer
from tests.feeds.websub.hubs import Hub

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def feed(site: Site, hub: Hub, live_server: Any, settings: Any) -> Feed:
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port, hub.host_port]
    settings.FEEDS_PUBLIC_URL = live_server.url
    links = f'<link xmlns="http://www.w3.org/2005/Atom" rel="hub" href="{hub.url}"/>'
    links += f'<link xmlns="http://www.w3.org/2005/Atom" rel="self" href="{site.url()}"/>'
    site.pages["/feed.xml"] = answer(body=rss(item(1), f"<title>News</title>{links}"))
    return polled(site.url())[0]


@async_to_sync
async def keep() -> dict[str, int]:
    return await keep_subscriptions()


def test_a_feed_is_subscribed_pushed_and_given_up_again(feed, hub):
    poll(feed)
    keep()
    assert hub.answers == [(200, "echo-me")], "The hub asks back before it has answered."
    known = Subscription.objects.get()
    assert known.lease_end is not None
    assert push_in_words(feed).startswith("Pushed by 127.0.0.1, until ")
    assert hub.push(b"<rss/>", secret="not ours")[0] == 202
    assert not RunRequest.objects.exists()
    for number, method in enumerate(("sha1", "sha256", "sha384", "sha512")):
        Subscription.objects.update(requested=None)
        RunRequest.objects.all().delete()
        assert hub.push(b"<rss/>" * number * 5_000, method=method)[0] == 202
        assert RunRequest.objects.get().parent == feed.schedule
    assert "; last " in push_in_words(feed)
    SchedulerService.pause(feed.schedule)
    keep()
    assert hub.answers[1:] == [(200, "echo-me")]
    assert Subscription.objects.get().lease_end is None


def test_who_sends_slowly_without_the_key_or_a_signature_is_answered_at_once(
    feed, hub, live_server
):
    poll(feed)
    keep()
    signed = f"X-Hub-Signature: sha1={'0' * 40}\r\n"
    path = urlsplit(hub.forms[0]["hub.callback"]).path
    for where, headers, status in ((path[:-2] + "/", signed, b"410"), (path, "", b"202")):
        address = urlsplit(live_server.url)
        with socket.create_connection((address.hostname, address.port), 30) as connection:
            head = f"POST {where} HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}"
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
            assert connection.recv(100).split()[1] == status


def test_a_body_that_stops_half_way_is_no_push(feed, hub, live_server):
    poll(feed)
    keep()
    address, secret = urlsplit(hub.forms[0]["hub.callback"]), hub.forms[0]["hub.secret"]
    body = b"half" * 250
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    with socket.create_connection((address.hostname, address.port), 30) as connection:
        head = f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        head += f"X-Hub-Signature: sha256={digest}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:-1])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).split()[1] == b"202"
    assert not RunRequest.objects.exists()
