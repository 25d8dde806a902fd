from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from redis import Redis

from feeds import looking
from feeds.exceptions import FetchTimeout
from feeds.health import health_of
from feeds.models import Entry, Feed
from feeds.services import schedule_feed
from tasks.models import ScheduledTask, ScheduledTaskInstance, Tag, TagUser
from tasks.services import SchedulerService
from tests.feeds.documents import item, rss
from tests.feeds.polled import polled
from tests.feeds.site import Site, answer, drip
from tests.tasks.pages import rows_of, staff, text_of

pytestmark = pytest.mark.django_db

A = "https://a.example/feed.xml"
FEEDS = reverse("admin:feeds_feed_changelist")
ADD = reverse("admin:feeds_feed_add")
LISTS = reverse("admin:feeds_feed_lists")
DOWNLOAD = reverse("admin:feeds_feed_download")
PAGE = b"<html><head><link rel='alternate' type='application/rss+xml' title='News' href='/n.xml'>"


def page_of(feed: Feed) -> str:
    return reverse("admin:feeds_feed_change", args=[feed.pk])


def add_run(schedule: ScheduledTask, status: str = "finished", **values: Any) -> None:
    now = timezone.now()
    ran = {} if status in ("missed", "skipped") else {"started": now}
    ScheduledTaskInstance.objects.create(
        parent=schedule, name="x", status=status, requested=now, ended=now, **ran, **values
    )


def fail(schedule: ScheduledTask, url: str = A) -> None:
    name = "feeds.exceptions.HostNotFound"
    why = f"Failed for: HostNotFound: {url}: the host was not found <b>."
    add_run(schedule, "failed", reason=why, exception_class=name)
    ScheduledTask.objects.filter(pk=schedule.pk).update(status="failed")


# The list


def test_the_list_of_feeds_says_why_one_fails_in_plain_words(admin_client: Client):
    fail(polled(A)[1])
    text = text_of(admin_client.get(FEEDS))
    assert "The host was not found <b>." in text
    assert "HostNotFound" not in text
    assert "<b>." not in admin_client.get(FEEDS).content.decode()


def test_the_views_of_the_list_show_feeds_by_how_they_are(admin_client: Client):
    failing, paused, ended, fine, new = (
        polled(f"{A}?{name}") for name in ("failing", "paused", "ended", "fine", "new")
    )
    fail(failing[1])
    add_run(fine[1])
    add_run(paused[1])
    add_run(ended[1])
    SchedulerService.pause(paused[1])
    SchedulerService.cancel(ended[1])
    shown = {
        view: rows_of(admin_client.get(FEEDS, {"view": view}))
        for view in ("failing", "paused", "never", "ended", "nonsense")
    }
    assert shown == {
        "failing": [failing[0]],
        "paused": [paused[0]],
        "never": [new[0]],
        "ended": [ended[0]],
        "nonsense": [],
    }
    response: Any = admin_client.get(FEEDS)
    tabs = response.context_data["tabs"]
    assert [tab["number"] for tab in tabs] == [5, 1, 1, 1, 1]


def test_the_list_is_narrowed_down_to_a_tag(admin_client: Client):
    tagged, _schedule = polled(A, tags=["news"])
    schedule_feed(f"{A}?2")
    assert rows_of(admin_client.get(FEEDS, {"tag": "news"})) == [tagged]


def test_an_empty_list_of_feeds_says_what_to_do(admin_client: Client):
    assert "import the list" in text_of(admin_client.get(FEEDS))


def test_the_list_and_the_page_of_feeds_take_few_queries(
    admin_client: Client, django_assert_max_num_queries
):
    for number in range(30):
        feed, schedule = polled(f"{A}?{number}", tags=["x"])
        fail(schedule)
        Entry.objects.create(feed=feed, guid="1", digest="1")
    for url in (FEEDS, page_of(feed)):
        with django_assert_max_num_queries(35):
            admin_client.get(url)


# Actions


def act(client: Client, action: str, *feeds: Feed, **data: str) -> str:
    chosen = {"action": action, "index": "0", "_selected_action": [feed.pk for feed in feeds]}
    return text_of(client.post(FEEDS, chosen | data, follow=True))


@pytest.mark.django_db(transaction=True)
def test_chosen_feeds_are_fetched_now(admin_client: Client, redis_connection: Redis):
    feeds = [schedule_feed(f"{A}?{number}") for number in range(2)]
    assert "2 feeds are fetched now." in act(admin_client, "fetch_now", *feeds)
    assert redis_connection.llen("rq:queue:feeds") == 2


@pytest.mark.usefixtures("redis_connection")
@pytest.mark.parametrize("action", ["fetch_now", "pause", "resume"])
def test_what_is_done_with_chosen_feeds_takes_the_same_queries_for_any_number(
    admin_client: Client, action: str
):
    costs = []
    for number in (3, 3, 12):  # What a process reads only once doesn't count.
        feeds = [schedule_feed(f"{A}?{Feed.objects.count()}") for _ in range(number)]
        if action == "resume":
            ScheduledTask.objects.update(status="paused", paused_at=timezone.now())
        chosen = {"action": action, "_selected_action": [feed.pk for feed in feeds]}
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.post(FEEDS, chosen).status_code == 302
        costs.append(len(queries))
    assert costs[1] == costs[2]


def test_each_chosen_feed_has_its_line_in_the_log_of_the_admin(admin_client: Client):
    feeds = [polled(f"{A}?{number}")[0] for number in range(2)]
    act(admin_client, "pause", *feeds)
    lines = LogEntry.objects.filter(content_type__model="feed", change_message="Paused.")
    assert {line.object_id for line in lines} == {str(feed.pk) for feed in feeds}


def test_what_cannot_be_done_with_some_chosen_feeds_is_said_and_done_with_the_others(
    admin_client: Client,
):
    (one, schedule), (paused, other), (orphan, gone) = (polled(f"{A}?{n}") for n in range(3))
    SchedulerService.pause(other)
    gone.delete()
    text = act(admin_client, "pause", one, paused, orphan)
    assert "no schedule polls it" in text
    assert other.name in text
    assert "1 feed is paused." in text
    schedule.refresh_from_db()
    assert schedule.status == "paused"


def test_who_may_pause_feeds_need_not_be_allowed_to_change_them(client: Client):
    feed, schedule = polled(A)
    client.force_login(staff("view_feed", "pause_scheduledtask"))
    assert "1 feed is paused." in act(client, "pause", feed)
    schedule.refresh_from_db()
    assert schedule.status == "paused"


def test_chosen_feeds_are_paused_and_resumed(admin_client: Client):
    feed, schedule = polled(A)
    act(admin_client, "pause", feed)
    schedule.refresh_from_db()
    assert schedule.status == "paused"
    assert "1 feed is polled again." in act(admin_client, "resume", feed)
    schedule.refresh_from_db()
    assert schedule.status == "running"


def test_chosen_feeds_and_their_schedules_get_and_lose_tags(admin_client: Client):
    feed, schedule = polled(A, tags=["old"])
    act(admin_client, "give_tag", feed, tag="new, newer")
    assert {tag.name for tag in schedule.tags.all()} == {"old", "new", "newer"}
    act(admin_client, "take_tag", feed, tag="old")
    assert {tag.name for tag in feed.tags.all()} == {"new", "newer"}
    assert "can’t" not in act(admin_client, "give_tag", feed, tag="two words")
    assert feed.tags.count() == 2


def test_what_people_may_do_with_feeds_takes_the_permission(client: Client):
    feed, schedule = polled(A)
    client.force_login(staff("view_feed"))
    for action in ("fetch_now", "pause", "resume", "give_tag"):
        act(client, action, feed, tag="x")
        url = reverse("admin:feeds_feed_act", args=[feed.pk, action])
        assert client.post(url).status_code in (403, 404)
    schedule.refresh_from_db()
    assert schedule.status == "running"
    assert not Tag.objects.exists()
    assert client.post(ADD, {"_look": A}).status_code == 403
    assert client.post(LISTS, {}).status_code == 403


def test_only_who_may_add_tags_gives_new_ones(client: Client):
    feed = schedule_feed(A)
    client.force_login(staff("view_feed", "change_feed"))
    data = {"action": "give_tag", "index": "0", "_selected_action": feed.pk, "tag": "new"}
    assert client.post(FEEDS, data).status_code == 403
    assert not Tag.objects.exists()


def test_buttons_of_a_feeds_page_do_what_they_say(admin_client: Client):
    feed, schedule = polled(A)
    admin_client.post(reverse("admin:feeds_feed_act", args=[feed.pk, "pause"]))
    schedule.refresh_from_db()
    assert schedule.status == "paused"
    text = text_of(admin_client.get(page_of(feed)))
    assert "Resume" in text
    assert "It was paused" in text


# The page of a feed


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda schedule: None, "It has never been fetched; the first time is"),
        (fail, "The host was not found"),
        (lambda schedule: add_run(schedule, result={"new": 2}), "brought 2 new entries."),
        (lambda schedule: add_run(schedule, result={"new": 0}), "found no entries in it."),
        (lambda schedule: add_run(schedule, "missed"), "it was missed."),
        (lambda schedule: add_run(schedule, "skipped", reason="Told to wait."), "Told to wait."),
        (SchedulerService.cancel, "Its schedule has ended: cancelled."),
        (lambda schedule: schedule.delete(), "No schedule polls it."),
    ],
)
def test_the_page_of_a_feed_says_why_it_is_not_newer(admin_client: Client, make, sentence):
    feed, schedule = polled(A)
    make(schedule)
    assert sentence in text_of(admin_client.get(page_of(feed)))


def test_a_feed_that_was_not_asked_after_a_failure_says_both():
    feed, schedule = polled(A)
    fail(schedule)
    add_run(schedule, "skipped", reason="It is asked again tomorrow.")
    feed.schedule.refresh_from_db()
    sentence = health_of([feed])[feed.pk].sentence
    assert "it was not asked. It is asked again tomorrow. The last poll" in sentence
    assert "failed." in sentence


def test_new_tags_of_a_feed_are_made_and_given_to_its_schedule(admin_client: Client):
    feed, schedule = polled(A)
    answer = admin_client.post(page_of(feed), {"new_tags": "eu, news"})
    assert answer.headers["Location"] == page_of(feed)
    for tagged in (feed, schedule):
        assert {tag.name for tag in tagged.tags.all()} == {"eu", "news"}


def test_a_feeds_settings_are_saved_on_its_page_and_nothing_else_is(admin_client: Client):
    feed = schedule_feed(A)
    text_of(admin_client.get(page_of(feed)))
    data = {"adaptive": "on", "ignores_hints": "on", "keep_entries": "50", "keep_days": ""}
    admin_client.post(page_of(feed), data)
    feed.refresh_from_db()
    assert (feed.adaptive, feed.ignores_hints) == (True, True)
    assert (feed.keep_entries, feed.keep_days) == (50, None)
    text = text_of(admin_client.get(page_of(feed)))
    assert "By how often it publishes: not more often than its schedule says" in text
    assert "is ignored." in text


def test_saving_a_feeds_settings_leaves_what_a_poll_stores_meanwhile(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    feed = schedule_feed(A)
    save = Feed.save

    def poll_and_save(self: Feed, *args: Any, **options: Any) -> None:
        Feed.objects.update(etag="new", title="New")
        save(self, *args, **options)

    monkeypatch.setattr(Feed, "save", poll_and_save)
    admin_client.post(page_of(feed), {"adaptive": "on"})
    feed.refresh_from_db()
    assert (feed.etag, feed.title, feed.adaptive) == ("new", "New", True)


def test_the_page_of_a_feed_says_what_is_odd_about_it(admin_client: Client):
    feed, schedule = polled(A)
    add_run(schedule, result={"new": 2})
    now = timezone.now()
    values: dict[str, Any] = {"defect": "unclosed <token>", "dropped": 1234}
    values |= {"moving_to": "https://b.example/?token=s3cr3t", "moving_since": now}
    values |= {"adaptive": True, "not_before": now + timedelta(1), "not_before_why": "adaptive"}
    Feed.objects.update(**values)
    text = text_of(admin_client.get(page_of(feed)))
    assert "Read although it is ill-formed: unclosed <token>" in text
    assert "1,234 entries were dropped" in text
    assert "It redirects permanently to https://b.example/?token=" in text
    assert "that becomes its address" in text
    assert "s3cr3t" not in text
    assert "By how often it publishes, nothing new is to be expected before" in text
    schedule_feed("https://b.example/?token=s3cr3t")
    assert "the two become one feed" in text_of(admin_client.get(page_of(feed)))


# Adding: look first


@pytest.fixture
def allowed(site: Site, settings: Any) -> Site:
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    items = "".join(item(number) for number in range(7))
    site.pages["/n.xml"] = answer(200, rss(items), Content_Type="application/rss+xml")
    site.pages["/"] = answer(200, PAGE, Content_Type="text/html")
    return site


def test_looking_at_a_feed_shows_what_is_there_and_saves_nothing(
    admin_client: Client, allowed: Site
):
    url = allowed.url("/n.xml").replace("http:", "feed:")
    response: Any = admin_client.post(ADD, {"url": f" {url} ", "_look": ""})
    text = text_of(response)
    assert "News" in text
    assert "7 entries" in text
    assert "Item 0" in text
    assert "Item 6" not in text
    assert response.context_data["form"].initial["url"] == allowed.url("/n.xml")
    assert not Feed.objects.exists()


def test_looking_at_a_web_page_offers_its_feeds(admin_client: Client, allowed: Site):
    response = admin_client.post(ADD, {"url": allowed.url("/"), "_look": ""})
    choice = f'name="_look" value="{allowed.url("/n.xml")}"'
    assert choice in response.content.decode()
    schedule_feed(allowed.url("/n.xml"))
    response = admin_client.post(ADD, {"url": allowed.url("/"), "_look": ""})
    assert "here already" in text_of(response)


@pytest.mark.parametrize("headers", [{}, {"Content_Type": "text/plain"}])
def test_a_web_page_that_does_not_say_so_offers_its_feeds_too(allowed: Site, headers):
    allowed.pages["/"] = answer(200, PAGE, **headers)
    assert [found.url for found in looking.look(allowed.url("/")).found] == [allowed.url("/n.xml")]


def test_of_a_page_that_names_no_feed_the_usual_addresses_are_tried(allowed: Site):
    allowed.pages["/"] = answer(200, b"<html></html>", Content_Type="text/html")
    allowed.pages["/feed"] = allowed.pages["/n.xml"]
    [found] = looking.look(allowed.url("/")).found
    assert (found.url, found.title) == (allowed.url("/feed"), "News")
    atom = b'<feed xmlns="http://www.w3.org/2005/Atom"><title>Atom</title></feed>'
    allowed.pages["/atom.xml"] = answer(200, atom, Content_Type="application/atom+xml")
    allowed.pages["/rss"] = answer(302, Location="/feed")
    offered = {found.url: found.title for found in looking.look(allowed.url("/")).found}
    assert offered == {allowed.url("/feed"): "News", allowed.url("/atom.xml"): "Atom"}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:1/", "private"),
        ("nonsense", "starts with http:// or https://"),
        ("", "starts with http:// or https://"),
    ],
)
def test_looking_says_what_is_wrong(admin_client: Client, url, problem):
    assert problem in text_of(admin_client.post(ADD, {"url": url, "_look": ""}))


def test_looking_stops_waiting_after_a_while(allowed: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(looking, "PATIENCE", 0.2)
    allowed.pages["/slow"] = drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")
    with pytest.raises(FetchTimeout, match="too long"):
        looking.look(allowed.url("/slow"))


def test_the_suggested_interval_and_the_tags_are_saved(admin_client: Client):
    tag = Tag.objects.create(name="news")
    data = {"url": A, "interval": "7200", "tags": [tag.pk], "new_tags": "eu", "adaptive": "on"}
    admin_client.post(ADD, data)
    feed = Feed.objects.get()
    assert (feed.adaptive, feed.ignores_hints) == (True, False)
    assert feed.schedule is not None
    assert feed.schedule.interval == 7200
    assert {one.name for one in feed.schedule.tags.all()} == {"news", "eu"}


@pytest.mark.django_db(transaction=True)
def test_a_feed_that_is_added_is_fetched_at_once(admin_client: Client, redis_connection: Redis):
    admin_client.post(ADD, {"url": A})
    assert redis_connection.llen("rq:queue:feeds") == 1


def test_the_feeds_of_a_feeds_site_are_looked_for_without_showing_its_secret(
    admin_client: Client, allowed: Site
):
    feed = schedule_feed(allowed.url("/?token=s3cr3t").replace("http://", "http://me:s3cr3t@"))
    response = admin_client.post(ADD, {"feed": feed.pk, "_look": ""})
    assert allowed.url("/n.xml") in response.content.decode()
    assert "s3cr3t" not in response.content.decode()


# Lists


def uploaded(text: str) -> dict[str, Any]:
    file = SimpleUploadedFile("feeds.opml", text.encode())
    return {"file": file, "interval": "3600", "adaptive": "on"}


LIST = f"""<opml version="2.0"><body><outline text="News"><outline text="A" xmlUrl="{A}"/>
<outline text="B" xmlUrl="ftp://b.example/"/></outline></body></opml>"""


def test_a_list_is_imported_in_the_admin_and_says_what_became_of_each(admin_client: Client):
    text = text_of(admin_client.post(LISTS, uploaded(LIST)))
    assert "1 new, 0 known, 1 refused." in text
    assert "Line 2: an address starts with" in text
    schedule = ScheduledTask.objects.get()
    assert (schedule.interval, Feed.objects.get().adaptive) == (3600, True)
    assert [tag.name for tag in schedule.tags.all()] == ["News"]


def test_a_file_that_is_no_list_is_reported_at_the_field(admin_client: Client):
    assert "begins with <html>" in text_of(admin_client.post(LISTS, uploaded("<html/>")))
    assert "required" in text_of(admin_client.post(LISTS, {}))


def test_a_downloaded_list_has_all_feeds_but_those_with_a_secret(admin_client: Client):
    schedule_feed(A, tags=["news"])
    schedule_feed("https://me:s3cr3t@b.example/")
    answer = admin_client.get(DOWNLOAD)
    assert 'filename="feeds.opml"' in answer.headers["Content-Disposition"]
    assert A in answer.content.decode()
    assert "b.example" not in answer.content.decode()
    assert "1 feed with a secret" in text_of(admin_client.get(LISTS))


def test_people_who_are_limited_import_with_their_tag_and_change_nothing_of_others(
    client: Client,
):
    other, _schedule = polled("https://b.example/feed.xml", tags=["hidden"])
    mine = Tag.objects.create(name="mine")
    user = staff("view_feed", "add_feed", "change_feed")
    TagUser.objects.create(tag=mine, user_id=user.pk)
    client.force_login(user)
    both = LIST.replace("ftp://b.example/", other.url).replace("News", "mine")
    client.post(LISTS, uploaded(both))
    assert [tag.name for tag in other.tags.all()] == ["hidden"]
    feed = Feed.objects.get(url=A)
    assert [tag.name for tag in feed.tags.all()] == ["mine"]
    client.post(LISTS, uploaded(LIST.replace(A, f"{A}?2")))
    assert [tag.name for tag in Feed.objects.get(url=f"{A}?2").tags.all()] == ["mine"]
    assert not Tag.objects.filter(name="News").exists()
    downloaded = client.get(DOWNLOAD).content.decode()
    assert other.url not in downloaded
    assert A in downloaded
