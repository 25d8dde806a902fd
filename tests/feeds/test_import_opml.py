import io
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from feeds.importing import AT_ONCE, import_feeds
from feeds.models import Feed
from feeds.opml import Outline
from feeds.services import remove_feed, schedule_feed, tag_feed
from tasks import holds
from tasks.models import ScheduleChange, ScheduledTask, Tag
from tasks.services import SchedulerService
from tests.feeds.polled import polled
from tests.feeds.site import Site, answer

pytestmark = pytest.mark.django_db(transaction=True)

A, B = "https://a.example/feed.xml", "https://b.example/feed.xml"
LIST = f"""<?xml version="1.0" encoding="UTF-8"?>
<opml version="2.0"><head><title>Feeds</title></head><body>
<outline text="News"><outline text="Local">
<outline type="rss" text="A" xmlUrl="{A}"/>
<outline type="rss" text="bad" xmlUrl="ftp://c.example/"/>
</outline></outline>
<outline type="rss" text="B" xmlUrl=" feed://b.example/feed.xml "/>
<outline type="rss" text="A" xmlUrl="HTTPS://A.example/feed.xml"/>
</body></opml>"""


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def run(command: str, *args: str, err: StringIO | None = None) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out, stderr=err or StringIO(), no_color=True)
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "feeds.opml"
    path.write_text(LIST)
    return path


def test_an_import_says_of_each_feed_what_became_of_it(file):
    assert run("import_opml", str(file)).splitlines() == [
        f"new  {A} (News, Local)",
        "refused  ftp://c.example/ (line 5): an address starts with http:// or https:// and a "
        "host.",
        "new  http://b.example/feed.xml",
        f"known  {A}",
        "2 new, 1 known, 1 refused.",
    ]
    feed = Feed.objects.get(url=A)
    assert feed.title == "A"
    assert feed.schedule is not None
    for tagged in (feed, feed.schedule):
        assert [tag.name for tag in tagged.tags.all()] == ["Local", "News"]


def test_new_feeds_of_a_list_are_adaptive_if_it_is_said_so(file):
    schedule_feed(A)
    run("import_opml", str(file), "--adaptive")
    adaptive = dict(Feed.objects.values_list("url", "adaptive"))
    assert adaptive == {A: False, "http://b.example/feed.xml": True}


def test_importing_a_list_again_changes_nothing(file):
    run("import_opml", str(file))

    def everything() -> list[object]:
        return [
            list(model.objects.order_by("pk").values())
            for model in (Feed, ScheduledTask, ScheduleChange)
        ]

    before = everything()
    assert "0 new, 3 known, 1 refused." in run("import_opml", str(file), "--every", "1h")
    assert everything() == before


def test_imported_schedules_are_as_if_each_had_been_made_alone(file, redis_connection):
    run("import_opml", str(file), "--every", "2h", "--queue", "low", "--jitter", "60s")
    imported = ScheduledTask.objects.filter(name=A).values().get()
    line = ScheduleChange.objects.get(schedule__name=A)
    scored = redis_connection.zscore("rq:scheduler:scheduled_jobs", imported["job_id"])
    remove_feed(A)
    alone = polled(A, interval=7200, queue="low", jitter=60)[1]
    own = {
        "id",
        "job_id",
        "args",
        "fingerprint",
        "created",
        "updated",
        "next_check_at",
        "settled_through",
        "period_start",
    }
    values = ScheduledTask.objects.filter(pk=alone.pk).values().get()
    assert {k: v for k, v in imported.items() if k not in own} == {
        k: v for k, v in values.items() if k not in own
    }
    assert imported["period_start"] == imported["settled_through"]
    assert scored is not None
    assert (line.action, line.changes) == ("created", {"tags": [[], ["Local", "News"]]})


def test_what_is_imported_while_everything_is_paused_is_paused(file):
    holds.pause_everything("me")
    run("import_opml", str(file))
    assert {one.status for one in ScheduledTask.objects.all()} == {"paused"}


def test_a_feed_that_is_here_keeps_its_schedule_and_its_tags_and_gets_those_of_the_list(file):
    feed, schedule = polled(A, interval=60)
    tag_feed(feed, [Tag.objects.create(name="mine")])
    SchedulerService.pause(schedule)
    run("import_opml", str(file))
    schedule.refresh_from_db()
    assert (schedule.interval, schedule.status) == (60, "paused")
    for tagged in (feed, schedule):
        assert {tag.name for tag in tagged.tags.all()} == {"mine", "News", "Local"}


def test_a_feed_without_schedule_gets_one_by_an_import(file):
    feed, schedule = polled(A)
    schedule.delete()
    run("import_opml", str(file))
    feed.refresh_from_db()
    assert feed.schedule is not None


def test_a_schedule_that_is_stored_already_is_taken_up_by_an_import():
    feed, schedule = polled(A)
    Feed.objects.filter(pk=feed.pk).update(schedule=None)
    import_feeds([Outline(A, "A", ("x",)), Outline(B)])
    assert Feed.objects.get(url=A).schedule == schedule
    assert [tag.name for tag in schedule.tags.all()] == ["x"]
    assert Feed.objects.get(url=B).schedule is not None


def test_importing_takes_as_many_queries_for_200_feeds_as_for_20(django_assert_max_num_queries):
    for number in (20, AT_ONCE):
        outlines = [Outline(f"{A}?{number}-{i}", "", ("x", "y")) for i in range(number)]
        with django_assert_max_num_queries(60):
            import_feeds(outlines)


def test_a_wrong_option_is_refused_before_anything_is_stored(file):
    for option in (
        ["--queue", "nowhere"],
        ["--every", "0s"],
        ["--every", "1h", "--cron", "* * * * *"],
    ):
        with pytest.raises(CommandError) as caught:
            run("import_opml", str(file), *option)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
    assert not Feed.objects.exists()


def test_a_list_is_imported_from_an_address(site: Site, settings):
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    site.pages["/list.opml"] = answer(200, LIST.encode(), Content_Type="text/x-opml")
    assert "2 new" in run("import_opml", site.url("/list.opml"))


def test_a_list_is_not_fetched_from_a_private_address(site: Site):
    with pytest.raises(CommandError, match="private"):
        run("import_opml", site.url("/list.opml"))
    assert site.requests == []


def test_a_file_that_is_not_there_or_no_list_is_reported_in_one_line(tmp_path):
    (tmp_path / "x").write_text("nonsense")
    for name in ("missing", "x"):
        with pytest.raises(CommandError) as caught:
            run("import_opml", str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_a_terminal_shows_how_far_an_import_is_and_others_do_not(file):
    shown, hidden = Terminal(), StringIO()
    run("import_opml", str(file), err=shown)
    run("import_opml", str(file), err=hidden)
    assert "[##############################] 2 / 2" in shown.getvalue()
    assert shown.getvalue().endswith("\r\033[K")
    assert hidden.getvalue() == ""


def test_what_is_exported_and_imported_is_exported_as_the_same(file, tmp_path):
    run("import_opml", str(file))
    schedule_feed("https://me:secret@d.example/?token=1")
    first = tmp_path / "first.opml"
    assert "3 feeds" in run("export_opml", str(first))
    assert first.stat().st_mode & 0o777 == 0o600
    exported = run("export_opml")
    assert exported == first.read_text()
    assert "me:secret@d.example" in exported
    Feed.objects.all().delete()
    Tag.objects.all().delete()
    assert "3 new" in run("import_opml", str(first))
    assert run("export_opml") == exported


def test_a_list_is_read_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LIST.encode())))
    assert "2 new" in run("import_opml", "-")
