"""Where hubs come, and whoever else finds out where that is."""

import hmac
import io
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from feeds.asking.rules import MAX_BYTES
from feeds.models import Feed, Subscription
from feeds.websub import callback, pushes
from tasks import clock
from tasks.models import RunRequest, ScheduledTask
from tasks.services import SchedulerService
from tests.feeds.polled import polled
from tests.feeds.websub.hubs import TOPIC
from tests.tasks.schedules import make_run

pytestmark = pytest.mark.django_db(transaction=True)

HUB = "https://hub.example/"
BODY = b"<rss/>"
HOUR = timedelta(hours=1)


@pytest.fixture
def subscription() -> Subscription:
    feed = polled(TOPIC)[0]
    return Subscription.objects.create(feed=feed, hub=HUB, topic=TOPIC, pending="subscribe")


@pytest.fixture
def client() -> Client:
    """Return what a hub is: nobody who is logged in, or has a token of a form."""
    return Client(enforce_csrf_checks=True)


def address(subscription: Subscription) -> str:
    return reverse("feeds:websub", args=[subscription.key])


def ask(client: Client, subscription: Subscription, mode: str = "subscribe", **said: str) -> Any:
    said = {"topic": TOPIC, "challenge": "echo-me", "lease_seconds": "86400"} | said
    values = {f"hub.{name}": value for name, value in {"mode": mode, **said}.items()}
    return client.get(address(subscription), values)


def push(client: Client, subscription: Subscription, body: bytes = BODY, **headers: str) -> Any:
    if not headers:
        digest = hmac.new(subscription.secret.encode(), body, "sha256").hexdigest()
        headers = {"X-Hub-Signature": f"sha256={digest}"}
    return client.post(
        address(subscription), body, content_type="application/rss+xml", headers=headers
    )


def columns(subscription: Subscription) -> dict[str, Any]:
    return dict(Subscription.objects.filter(pk=subscription.pk).values().get())


# Verification


def test_a_hub_that_asks_whether_we_mean_it_gets_its_challenge_back(client, subscription):
    answer = ask(client, subscription)
    assert (answer.status_code, answer.content) == (200, b"echo-me")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    now = columns(subscription)
    left = now["lease_end"] - clock.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)
    assert now["lease_end"] - now["ask_after"] == timedelta(days=1) * 0.2
    assert (now["pending"], now["attempts"]) == ("", 0)


def test_a_verification_counts_once(client, subscription):
    ask(client, subscription)
    before = columns(subscription)
    assert ask(client, subscription, lease_seconds="99999999").status_code == 404
    assert columns(subscription) == before


@pytest.mark.parametrize(
    "said",
    [
        {"topic": "https://feeds.example/another.xml"},
        {"topic": ""},
        {"mode": "unsubscribe"},
        {"mode": "publish"},
        {"mode": ""},
        {"challenge": ""},
        {"challenge": "<script>\n"},
        {"challenge": "x" * 2_000},
        {"lease_seconds": "-1"},
        {"lease_seconds": "9" * 5_000},
    ],
)
def test_a_verification_of_what_we_have_not_asked_for_changes_and_says_nothing(
    client, subscription, said
):
    before = columns(subscription)
    answer = ask(client, subscription, **said)
    assert (answer.status_code, answer.content) == (404, b"")
    assert columns(subscription) == before


def test_an_end_is_confirmed_if_we_have_asked_for_it(client, subscription):
    ask(client, subscription)
    assert ask(client, subscription, "unsubscribe").status_code == 404
    Subscription.objects.update(pending="unsubscribe")
    answer = ask(client, subscription, "unsubscribe")
    assert (answer.status_code, answer.content) == (200, b"echo-me")
    assert columns(subscription)["lease_end"] is None


def test_a_hub_can_refuse_at_any_time_and_is_left_alone_for_days(client, subscription, caplog):
    ask(client, subscription)
    answer = ask(client, subscription, "denied", reason="No \0 https://x.example/?token=hunter2.")
    assert (answer.status_code, answer.content) == (200, b"")
    now = columns(subscription)
    assert now["failure"] == "the hub refuses: No ? https://x.example/?token=•••."
    assert now["lease_end"] is None
    assert now["ask_after"] - clock.now() > timedelta(days=2)
    assert ask(client, subscription, "denied").status_code == 404, "It is not held any more."


def test_nothing_tells_a_foreign_key_from_a_topic_that_is_not_its(client, subscription):
    foreign = Subscription(key="x" * 43)
    answers = [ask(client, foreign), ask(client, subscription, topic="https://x.example/")]
    first, second = ((answer.status_code, answer.content, answer.items()) for answer in answers)
    assert (first[0], first[1], dict(first[2])) == (second[0], second[1], dict(second[2]))


@pytest.mark.parametrize("method", ["head", "put", "delete", "options", "patch"])
def test_a_hub_has_two_things_to_say(client, subscription, method):
    assert getattr(client, method)(address(subscription)).status_code == 405


# Pushes


def test_a_signed_push_requests_a_poll(client, subscription):
    assert push(client, subscription).status_code == 202
    request = RunRequest.objects.get()
    assert request.parent == subscription.feed.schedule
    now = columns(subscription)
    assert now["pushed"] is not None
    assert now["requested"] is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Other": "x"},
        {"X-Hub-Signature": ""},
        {"X-Hub-Signature": f"sha1={'0' * 40}"},
        {"X-Hub-Signature": f"sha256={'0' * 64}"},
        {"X-Hub-Signature": "md5=d41d8cd98f00b204e9800998ecf8427e"},
    ],
)
def test_a_push_that_is_not_signed_by_the_hub_is_taken_and_ignored(client, subscription, headers):
    assert push(client, subscription, **headers).status_code == 202
    assert not RunRequest.objects.exists()
    now = columns(subscription)
    assert (now["pushed"], now["requested"]) == (None, None)
    assert now["ignored"] is not None


def test_the_signature_is_of_the_whole_body(client, subscription):
    body = b"x" * (3 * callback.CHUNK + 7)
    digest = hmac.new(subscription.secret.encode(), body, "sha512").hexdigest()
    signed = {"X-Hub-Signature": f"sha512={digest}"}
    push(client, subscription, body[:-1] + b"y", **signed)
    assert not RunRequest.objects.exists()
    push(client, subscription, body, **signed)
    assert RunRequest.objects.count() == 1


def test_pushes_that_follow_each_other_request_one_poll(client, subscription, monkeypatch):
    for _ in range(3):
        push(client, subscription)
    assert RunRequest.objects.count() == 1
    monkeypatch.setattr(pushes, "GAP", timedelta(0))
    push(client, subscription)
    assert RunRequest.objects.count() == 1, "One waits already."
    RunRequest.objects.all().delete()
    push(client, subscription)
    assert RunRequest.objects.count() == 1


def test_a_push_while_a_poll_is_going_on_is_left_to_the_upkeep(client, subscription):
    make_run(subscription.feed.schedule, status="running")
    push(client, subscription)
    assert not RunRequest.objects.exists()
    now = columns(subscription)
    assert (now["pushed"] is not None, now["requested"]) == (True, None)


def test_a_push_without_redis_is_taken_and_left_to_the_upkeep(client, subscription):
    with patch("tasks.changes.requests.redis_obstacle", return_value="down"):
        assert push(client, subscription).status_code == 202
    now = columns(subscription)
    assert (now["pushed"] is not None, now["requested"]) == (True, None)


def test_a_paused_feed_is_not_polled_by_a_push(client, subscription):
    SchedulerService.pause(subscription.feed.schedule)
    assert push(client, subscription).status_code == 202
    assert not RunRequest.objects.exists()


def test_a_push_for_a_feed_that_is_gone_says_so(client, subscription):
    Feed.objects.get().delete()
    assert push(client, subscription).status_code == 410
    assert Subscription.objects.get().feed is None
    assert not ScheduledTask.objects.exists()


def test_a_body_that_no_feed_may_have_is_refused_without_being_read(client, subscription):
    class Unread(io.BytesIO):
        def read(self, *args: Any) -> bytes:
            raise AssertionError("It is read.")

    values = {"CONTENT_LENGTH": str(MAX_BYTES + 1), "wsgi.input": Unread()}
    headers = {"X-Hub-Signature": f"sha1={'0' * 40}"}
    answer = client.generic("POST", address(subscription), headers=headers, **values)
    assert answer.status_code == 413
    values["CONTENT_LENGTH"] = "9"
    foreign = reverse("feeds:websub", args=["x" * 43])
    assert client.generic("POST", foreign, headers=headers, **values).status_code == 410
    unsigned = client.generic("POST", address(subscription), **values)
    assert unsigned.status_code == 202


def test_a_body_that_takes_too_long_is_not_waited_for(client, subscription, monkeypatch):
    monkeypatch.setattr(callback, "PATIENCE", -1.0)
    assert push(client, subscription).status_code == 408
    assert not RunRequest.objects.exists()


# Secrets


def test_no_log_holds_the_key_or_the_secret(client, subscription, caplog):
    caplog.set_level(0)
    ask(client, subscription)
    ask(client, subscription)
    ask(client, subscription, "denied")
    push(client, subscription)
    push(client, subscription, **{"X-Hub-Signature": "no"})
    client.put(address(subscription))
    with patch.object(Subscription.objects, "select_related", side_effect=DatabaseError):
        assert ask(client, subscription).status_code == 503
    Feed.objects.get().delete()
    assert push(client, subscription).status_code == 410
    assert subscription.key not in caplog.text
    assert subscription.secret not in caplog.text
