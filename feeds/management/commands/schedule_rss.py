"""Schedule RSS and Atom feeds from the command line."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from feeds import services
from feeds.addresses import typed_url
from feeds.exceptions import shown_url
from feeds.management.options import OneLineCommand, add_schedule_options, schedule_options
from feeds.models import Feed
from tasks import clock
from tasks.broker.ownership import why_not_in_redis
from tasks.database import atomic
from tasks.exceptions import TasksError
from tasks.management.columns import fit, width
from tasks.models import ScheduledTaskInstance
from tasks.services import SchedulerService

NONE = "–"
# Together with two spaces between them: 100 columns.
COLUMNS = (38, 18, 16, 22)


class Command(OneLineCommand):
    help = "Poll RSS and Atom feeds from now on, every 15 minutes unless you say otherwise."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("urls", nargs="*", metavar="URL", help="the address of a feed")
        add_schedule_options(parser)
        parser.add_argument("--name", help="what to call the schedule (default: the address)")
        parser.add_argument(
            "--tag",
            action="append",
            metavar="TAG",
            dest="tags",
            help="a tag of the feeds and their schedules, instead of those that they have; "
            "may be given several times",
        )
        parser.add_argument("--now", action="store_true", help="also run each once right away")
        parser.add_argument("--list", action="store_true", help="list all feeds, do nothing else")
        parser.add_argument(
            "--remove",
            metavar="URL",
            help="remove a feed, its entries and its schedule; secrets may be masked as by --list",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["list"]:
                self._list()
            elif options["remove"]:
                feed = services.remove_feed(typed_url(options["remove"]))
                self.stdout.write(_("%(url)s is removed.") % {"url": feed.shown_url})
            else:
                self._schedule(options)
        except TasksError as error:
            raise CommandError(" ".join(str(error).split())) from error

    def _schedule(self, options: dict[str, Any]) -> None:
        _check(options)
        given = schedule_options(options) | {"name": options["name"], "tags": options["tags"]}
        with atomic():
            feeds = [services.schedule_feed(typed_url(url), **given) for url in options["urls"]]
        for feed in feeds:
            self.stdout.write(f"{feed.shown_url}: {_when(feed)}")
        if any(feed.schedule and feed.schedule.projected is False for feed in feeds):
            self.stderr.write(self.style.WARNING(why_not_in_redis()))
        if options["now"]:
            self._run_now(feeds)

    def _run_now(self, feeds: list[Feed]) -> None:
        for feed in feeds:
            assert feed.schedule is not None
            SchedulerService.run_now(feed.schedule)
            self.stdout.write(_("%(url)s runs now.") % {"url": feed.shown_url})

    def _list(self) -> None:
        rows = Feed.objects.with_last_run().select_related("schedule").order_by("url")
        feeds: list[Any] = list(rows)
        if not feeds:
            self.stdout.write(_("No feed is scheduled. Schedule one: schedule_rss URL"))
            return
        self._row(_("Feed"), _("When"), _("Next due"), _("Last result"))
        runs = ScheduledTaskInstance.objects.defer("log", "traceback").in_bulk(
            [feed.last_run_id for feed in feeds if feed.last_run_id]
        )
        for feed in feeds:
            schedule = feed.schedule
            self._row(
                _label(feed),
                schedule.when_in_words() if schedule else _("not scheduled"),
                _next_due(feed),
                _result(runs.get(feed.last_run_id)),
            )

    def _row(self, label: str, *cells: str) -> None:
        # A longer label gets a line of its own: a truncated address is useless.
        if width(label) > COLUMNS[0]:
            self.stdout.write(label)
            label = ""
        texts = [fit(text, columns) for text, columns in zip((label, *cells), COLUMNS, strict=True)]
        self.stdout.write("  ".join(texts).rstrip())


def _check(options: dict[str, Any]) -> None:
    if not options["urls"]:
        raise CommandError(_("Give the address of a feed, or --list, or --remove URL."))
    if options["name"] is not None and len(options["urls"]) > 1:
        raise CommandError(_("--name is for one feed: give one address."))


def _when(feed: Feed) -> str:
    assert feed.schedule is not None
    due = feed.schedule.next_due(clock.now())
    words = {"when": feed.schedule.when_in_words(), "due": _local_time(due) if due else ""}
    if due is not None:
        return _("%(when)s, next at %(due)s.") % words
    words["status"] = feed.schedule.get_status_display()
    return _("%(when)s; nothing is due: its schedule is %(status)s.") % words


def _next_due(feed: Feed) -> str:
    if feed.schedule is None:
        return NONE
    due = feed.schedule.next_due(clock.now())
    return _local_time(due) if due else feed.schedule.get_status_display()


def _local_time(time: datetime) -> str:
    return date_format(timezone.localtime(time), "Y-m-d H:i")


def _label(feed: Feed) -> str:
    name = feed.schedule.name if feed.schedule else ""
    return feed.shown_url if name in ("", shown_url(feed.url)) else f"{name} ({feed.shown_url})"


def _result(run: ScheduledTaskInstance | None) -> str:
    if run is None:
        return NONE
    result = run.result if isinstance(run.result, dict) else {}
    if run.status == run.Status.FINISHED and "new" in result:
        return _("%(new)s new, %(updated)s changed") % result
    error = run.exception_class.rpartition(".")[2]
    return f"{run.get_status_display()}: {error}" if error else str(run.get_status_display())
