"""Schedule RSS and Atom feeds from the command line."""

import sys
from datetime import datetime
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from feeds import services
from feeds.exceptions import shown_url
from feeds.models import Feed
from tasks import clock
from tasks.database import atomic
from tasks.exceptions import TasksError
from tasks.management.columns import fit, width
from tasks.models import ScheduledTaskInstance
from tasks.services import SchedulerService
from tasks.timing.text import parse_interval

NONE = "–"
# The options that --timezone applies to.
ZONED = ("cron", "exclude", "calendar")
# Together with two spaces between them: 100 columns.
COLUMNS = (38, 18, 16, 22)


class Command(BaseCommand):
    help = "Poll RSS and Atom feeds from now on, every 15 minutes unless you say otherwise."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.error = self._refuse  # type: ignore[method-assign]
        parser.add_argument("urls", nargs="*", metavar="URL", help="the address of a feed")
        parser.add_argument(
            "--every", metavar="TIME", help="how often, such as 90s, 15m, 2h or 1d (default: 15m)"
        )
        parser.add_argument("--cron", metavar="EXPR", help="when, such as “30 6 * * MON-FRI”")
        parser.add_argument(
            "--timezone", metavar="ZONE", help="of --cron and the dates, such as Europe/Berlin"
        )
        parser.add_argument(
            "--exclude",
            metavar="DATES",
            help="dates without a poll, such as 2026-12-24..2026-12-26,2027-01-01",
        )
        parser.add_argument("--calendar", metavar="NAME", help="a calendar of such dates")
        parser.add_argument(
            "--jitter", metavar="TIME", help="delay by a constant part of this, such as 10m"
        )
        parser.add_argument("--queue", help="the queue of the runs (default: default)")
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
            "--remove", metavar="URL", help="remove a feed, its entries and its schedule"
        )

    def _refuse(self, message: str) -> NoReturn:
        """Report wrong options like any other error: on one line, with exit code 1."""
        error = CommandError(_("%(message)s. See --help.") % {"message": message})
        if not getattr(self, "_called_from_command_line", False):
            raise error
        self.stderr.write(f"CommandError: {error}")
        sys.exit(error.returncode)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["list"]:
                self._list()
            elif options["remove"]:
                feed = services.remove_feed(options["remove"])
                self.stdout.write(_("%(url)s is removed.") % {"url": feed.shown_url})
            else:
                self._schedule(options)
        except TasksError as error:
            raise CommandError(" ".join(str(error).split())) from error

    def _schedule(self, options: dict[str, Any]) -> None:
        _check(options)
        interval = parse_interval(options["every"]) if options["every"] is not None else None
        jitter = parse_interval(options["jitter"]) if options["jitter"] is not None else None
        with atomic():
            feeds = [
                services.schedule_feed(
                    url,
                    interval=interval,
                    cron=options["cron"],
                    timezone=options["timezone"],
                    queue=options["queue"],
                    name=options["name"],
                    exclude=options["exclude"],
                    calendar=options["calendar"],
                    jitter=jitter,
                    tags=options["tags"],
                )
                for url in options["urls"]
            ]
        for feed in feeds:
            self.stdout.write(f"{feed.shown_url}: {_when(feed)}")
        if any(feed.schedule and feed.schedule.projected is False for feed in feeds):
            text = _("Redis is unavailable: this is saved and takes effect once Redis is back.")
            self.stderr.write(self.style.WARNING(text))
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
    if options["every"] is not None and options["cron"] is not None:
        raise CommandError(_("Give either --every or --cron."))
    if options["timezone"] is not None and not any(options[name] for name in ZONED):
        raise CommandError(
            _("--timezone is the time zone of --cron, --exclude or --calendar: give one of them.")
        )
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
