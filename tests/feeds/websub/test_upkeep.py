"""Hubs are asked in time, and left alone when they fail."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from feeds.asking.check import may_ask
from feeds.models import Entry, Feed, Subscription
from feeds.tasks import keep_subscriptions
from feeds.websub import noting, upkeep
from feeds.websub.words import push_in_words
from tasks import clock
from tasks.models import RunRequest, ScheduledTask
from tasks.services import SchedulerService
from tests.feeds.documents import item, rss
from tests.feeds.polled import poll, polled
from tests.feeds.site import Site, answer
from tests.feeds.websub.hubs import Hub, running_hub

pytestmark = pytest.mark.django_db

NOW = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOTHING = {"subscribed": 0, "unsubscribed": 0, "failed": 0, "polls": 0}
Wait = Callable[[timedelta], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Let time stand still, and return what lets some pass."""
    at = [NOW]
    monkeypatch.setattr(clock, "timestamp", lambda: at[0].timestamp())

    def wait(span: timedelta) -> None:
        at[0] += span

    return wait


@pytest.fixture
def feed(site: Site, hub: Hub, settings: Any, wait: Wait) -> Feed:
    """Return a feed that names the hub, which doesn't ask back."""
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port, hub.host_port]
    settings.FEEDS_PUBLIC_URL = "https://jobs.example/app/"
    hub.asks_back = False
    name_hub(site, hub.url)
    return polled(site.url())[0]


def name_hub(site: Site, hub: str, number: int = 1) -> None:
    link = f'<{hub}>; rel="hub"'
    site.pages["/feed.xml"] = answer(body=rss(item(number)), Link=link)


@async_to_sync
async def keep() -> dict[str, int]:
    return await keep_subscriptions()


def confirm(span: timedelta = DAY) -> None:
    """Do what the callback does when a hub asks back."""
    now = clock.now()
    Subscription.objects.exclude(pending="").update(
        pending="", attempts=0, failure="", lease_end=now + span, ask_after=now + span * 0.8
    )


def counted(**counts: int) -> dict[str, int]:
    return NOTHING | counts


def test_without_a_public_address_nothing_is_noted_and_nobody_asked(feed, hub, settings):
    settings.FEEDS_PUBLIC_URL = ""
    poll(feed)
    assert not Subscription.objects.exists()
    assert not ScheduledTask.objects.filter(function=noting.UPKEEP).exists()
    assert keep() == NOTHING
    assert push_in_words(feed) == ""


def test_the_hub_of_a_feed_is_asked_to_tell_us_of_its_changes(feed, hub, site):
    poll(feed)
    assert ScheduledTask.objects.get(function=noting.UPKEEP).interval == 600
    assert keep() == counted(subscribed=1)
    known = Subscription.objects.get()
    assert hub.forms == [
        {
            "hub.mode": "subscribe",
            "hub.topic": site.url(),
            "hub.callback": f"https://jobs.example/app/feeds/websub/{known.key}/",
            "hub.secret": known.secret,
            "hub.lease_seconds": "864000",
        }
    ]
    assert len({known.key, known.secret}) == 2
    assert min(len(known.key), len(known.secret)) == 43
    assert keep() == NOTHING


def test_a_lease_is_renewed_before_it_ends_and_had_again_if_it_has_ended(feed, hub, wait):
    poll(feed)
    keep()
    confirm()
    wait(0.7 * DAY)
    assert keep() == NOTHING
    wait(0.1 * DAY)
    assert keep() == counted(subscribed=1)
    confirm()
    wait(2 * DAY)
    assert keep() == counted(subscribed=1)
    first, *others = hub.forms
    assert others == [first, first]


def test_a_hub_that_fails_is_asked_less_and_less_often(feed, hub, wait):
    hub.status = 500
    poll(feed)
    spans = []
    for _ in range(4):
        assert keep() == counted(failed=1)
        spans.append(Subscription.objects.get().ask_after - clock.now())
        wait(spans[-1] - MINUTE)
        assert keep() == NOTHING
        wait(MINUTE)
    assert spans == [HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR]
    text = push_in_words(feed)
    assert "the hub answered 500 Internal Server Error" in text
    assert "The next time is 2025-03-05 03:00" in text


def test_a_hub_that_wants_to_be_left_alone_is(feed, hub, wait):
    hub.status, hub.headers = 429, {"Retry-After": "86400"}
    poll(feed)
    keep()
    assert Subscription.objects.get().ask_after - clock.now() == DAY


def test_a_hub_that_does_not_come_back_is_asked_again_and_the_page_says_what_may_be_wrong(
    feed, hub, wait
):
    poll(feed)
    keep()
    assert "was asked 2025-03-04 12:00" in push_in_words(feed)
    wait(HOUR)
    assert keep() == counted(subscribed=1)
    assert "Can it reach FEEDS_PUBLIC_URL?" in push_in_words(feed)
    wait(HOUR)
    assert keep() == NOTHING


def test_a_hub_that_fails_is_asked_for_no_other_feed_in_this_run(feed, hub, site):
    for number in range(3):
        url = site.url(f"/feed.xml?{number}")
        poll(polled(url)[0])
    hub.status = 503
    assert keep() == counted(failed=1)
    hub.status = 400
    assert keep() == counted(failed=2)
    assert len(hub.forms) == 3


def test_a_hub_at_a_private_address_is_refused(feed, hub, site, settings):
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    poll(feed)
    assert keep() == counted(failed=1)
    assert hub.forms == []
    assert "is private" in Subscription.objects.get().failure


def test_a_hub_that_redirects_is_followed_but_not_to_a_private_address(feed, hub, settings):
    with running_hub() as other:
        other.asks_back = False
        hub.status, hub.headers = 308, {"Location": other.url}
        poll(feed)
        assert keep() == counted(failed=1)
        assert other.forms == []
        settings.FEEDS_ALLOWED_HOSTS += [other.host_port]
        Subscription.objects.update(ask_after=None)
        assert keep() == counted(subscribed=1)
        assert other.forms == hub.forms[1:]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_loses_what_is_sent_is_a_failure(feed, hub, status):
    hub.status, hub.headers = status, {"Location": hub.url}
    poll(feed)
    assert keep() == counted(failed=1)


def test_a_hub_that_redirects_in_a_circle_is_given_up(feed, hub):
    hub.status, hub.headers = 307, {"Location": hub.url}
    poll(feed)
    assert keep() == counted(failed=1)
    assert len(hub.forms) == 4


def test_another_hub_is_another_subscription_and_the_one_before_is_ended(
    feed, hub, site, settings, wait
):
    poll(feed)
    keep()
    confirm(3 * DAY)
    wait(DAY)
    old = Subscription.objects.get()
    with running_hub() as other:
        other.asks_back = False
        settings.FEEDS_ALLOWED_HOSTS += [other.host_port]
        name_hub(site, other.url, 2)
        poll(feed)
        assert keep() == counted(subscribed=1, unsubscribed=1)
        assert other.forms[0]["hub.mode"] == "subscribe"
    new = Subscription.objects.get(feed=feed)
    assert {new.key, new.secret}.isdisjoint({old.key, old.secret})
    assert hub.forms[1] == {
        "hub.mode": "unsubscribe",
        "hub.topic": old.topic,
        "hub.callback": hub.forms[0]["hub.callback"],
    }
    Subscription.objects.filter(pk=old.pk).update(lease_end=None)
    keep()
    assert Subscription.objects.get() == new


@pytest.mark.parametrize("with_gaps", [False, True])
def test_a_feed_that_names_another_hub_at_each_poll_gets_another_one_once_a_day(
    feed, hub, site, wait, with_gaps
):
    for number in range(12):
        name_hub(site, f"{hub.url}{number}", number)
        if with_gaps and number % 2:
            site.pages["/feed.xml"] = answer(body=rss(item(number)))
        poll(feed)
        keep()
        confirm(10 * DAY)
        wait(6 * HOUR)
    assert len([form for form in hub.forms if form["hub.mode"] == "subscribe"]) == 3
    assert Subscription.objects.count() == 3


def test_a_hub_that_has_not_been_asked_yet_makes_way_for_another_one(feed, hub, site):
    poll(feed)
    name_hub(site, f"{hub.url}2", 2)
    poll(feed)
    assert Subscription.objects.get().hub == f"{hub.url}2"


def test_a_feed_that_names_no_hub_any_more_is_not_pushed_any_more(feed, hub, site, wait):
    poll(feed)
    keep()
    confirm(3 * DAY)
    wait(DAY)
    site.pages["/feed.xml"] = answer(body=rss(item(2)))
    poll(feed)
    assert keep() == counted(unsubscribed=1)


def test_an_unchanged_feed_keeps_its_hub(feed, hub, site):
    poll(feed)
    feed.refresh_from_db()
    known = Subscription.objects.get()
    site.pages["/feed.xml"] = answer(body=rss(item(1)))
    poll(feed)
    assert Subscription.objects.get(feed=feed) == known


def test_a_paused_feed_is_not_pushed_and_a_resumed_one_is_again(feed, hub):
    poll(feed)
    keep()
    confirm()
    SchedulerService.pause(feed.schedule)
    assert keep() == counted(unsubscribed=1)
    assert keep() == NOTHING
    assert "asked while it is polled" in push_in_words(feed)
    Subscription.objects.update(pending="", lease_end=None, ask_after=None)
    assert keep() == NOTHING
    SchedulerService.resume(feed.schedule)
    assert keep() == counted(subscribed=1)


def test_a_deleted_feed_is_not_pushed_any_more(feed, hub):
    poll(feed)
    keep()
    confirm()
    feed.delete()
    assert keep() == counted(unsubscribed=1)
    Subscription.objects.update(pending="", lease_end=None)
    keep()
    assert not Subscription.objects.exists()


def test_a_feed_that_older_code_has_deleted_leaves_nothing(feed, hub):
    poll(feed)
    Entry.objects.all().delete()
    Feed.objects.filter(pk=feed.pk)._raw_delete("default")
    assert keep() == NOTHING
    assert not Subscription.objects.exists()


def test_a_site_without_an_address_any_more_ends_what_it_has(feed, hub, settings):
    poll(feed)
    keep()
    confirm()
    settings.FEEDS_PUBLIC_URL = ""
    assert keep() == counted(unsubscribed=1)


def test_a_site_that_has_moved_tells_its_hubs(feed, hub, settings):
    poll(feed)
    keep()
    confirm()
    settings.FEEDS_PUBLIC_URL = "https://new.example"
    assert keep() == counted(subscribed=1)
    assert hub.forms[1]["hub.callback"].startswith("https://new.example/feeds/websub/")
    assert keep() == NOTHING


def test_a_push_that_could_not_be_followed_is_followed_later(feed, hub, wait):
    poll(feed)
    keep()
    confirm()
    Subscription.objects.update(pushed=clock.now())
    assert keep() == counted(polls=1)
    assert RunRequest.objects.get().parent == feed.schedule
    wait(10 * MINUTE)
    assert keep() == NOTHING


def test_a_feed_whose_hub_is_to_be_trusted_is_polled_seldom_as_long_as_it_is(feed, site, wait):
    poll(feed)
    keep()
    confirm()
    assert may_ask(feed) is None
    Subscription.objects.update(pushed=clock.now())
    name_hub(site, Subscription.objects.get().hub, 2)
    poll(feed)
    feed.refresh_from_db()
    wait(6 * HOUR - MINUTE)
    refused = may_ask(feed)
    assert refused is not None
    assert "Its hub tells when it has changed" in refused.reason
    wait(MINUTE)
    assert may_ask(feed) is None
    poll(feed)
    wait(HOUR)
    assert may_ask(feed) is not None, "Nothing new, so it still holds."
    name_hub(site, Subscription.objects.get().hub, 3)
    poll(feed)
    assert may_ask(feed) is None, "The hub has let something slip."


def test_a_feed_whose_hub_is_trusted_is_polled_as_its_schedule_says_once_the_lease_is_over(
    feed, wait, settings
):
    poll(feed)
    keep()
    confirm()
    Subscription.objects.update(trusted=True, polled=clock.now(), lease_end=clock.now() + HOUR)
    assert may_ask(feed) is not None
    Feed.objects.update(ignores_hints=True)
    assert may_ask(Feed.objects.get()) is None
    Feed.objects.update(ignores_hints=False)
    settings.FEEDS_PUBLIC_URL = ""
    assert may_ask(feed) is None
    settings.FEEDS_PUBLIC_URL = "https://jobs.example"
    wait(HOUR)
    assert may_ask(feed) is None


def test_two_runs_at_once_ask_a_hub_once(feed, hub):
    poll(feed)
    (first,), (second,) = upkeep.to_ask(), upkeep.to_ask()
    assert upkeep._begin(*first) is not None
    assert upkeep._begin(*second) is None


def test_no_log_of_asking_a_hub_holds_the_secret(feed, hub, caplog):
    caplog.set_level(0)
    hub.status = 400
    poll(feed)
    keep()
    known = Subscription.objects.get()
    assert "the hub answered 400" in caplog.text
    assert known.secret not in caplog.text
    assert known.key not in caplog.text
