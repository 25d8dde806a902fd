"""What people do with feeds: fetch now, pause, resume and tag them."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from feeds import services
from feeds.admin_pages.tagging import TAGGING, typed_tags
from feeds.exceptions import UnknownFeed
from feeds.models import Feed
from tasks.admin_pages.base import TasksAdmin
from tasks.changes import several
from tasks.models import ScheduledTask, Tag


class FeedActions(TasksAdmin):
    """The actions of the list of feeds, and of the page of one."""

    buttons = ("fetch_now", "pause", "resume")
    actions = (*buttons, *TAGGING)

    def has_run_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may fetch feeds now."""
        return self.has_view_permission(request, obj) and request.user.has_perm(
            "tasks.run_scheduledtask"
        )

    def has_pause_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may pause and resume feeds."""
        return self.has_view_permission(request, obj) and request.user.has_perm(
            "tasks.pause_scheduledtask"
        )

    def labels_of_actions(self, request: HttpRequest) -> dict[str, str]:
        """Return what the user may do with feeds, by the names of the actions."""
        actions: dict[str, Any] = self.get_actions(request)
        return {name: label for name, (_function, _name, label) in actions.items()}

    @admin.action(description=gettext_lazy("Fetch now"), permissions=["run"])
    def fetch_now(self, request: HttpRequest, feeds: QuerySet[Feed]) -> None:
        """Request a poll of each, besides what is due."""
        self._act_on_schedules(
            request,
            feeds,
            several.run_now,
            _("Fetch now."),
            lambda n: (
                ngettext("%(n)d feed is fetched now.", "%(n)d feeds are fetched now.", n) % {"n": n}
            ),
        )

    @admin.action(description=gettext_lazy("Pause"), permissions=["pause"])
    def pause(self, request: HttpRequest, feeds: QuerySet[Feed]) -> None:
        """Poll none of them until they are resumed."""
        self._act_on_schedules(
            request,
            feeds,
            several.pause,
            _("Paused."),
            lambda n: ngettext("%(n)d feed is paused.", "%(n)d feeds are paused.", n) % {"n": n},
        )

    @admin.action(description=gettext_lazy("Resume"), permissions=["pause"])
    def resume(self, request: HttpRequest, feeds: QuerySet[Feed]) -> None:
        """Poll them again, also those whose schedule has ended."""
        self._act_on_schedules(
            request,
            feeds,
            several.resume,
            _("Resumed."),
            lambda n: (
                ngettext("%(n)d feed is polled again.", "%(n)d feeds are polled again.", n)
                % {"n": n}
            ),
        )

    @admin.action(description=gettext_lazy("Give tag"), permissions=["change"])
    def give_tag(self, request: HttpRequest, feeds: QuerySet[Feed]) -> None:
        """Give each of them the tags that are typed beside the button."""
        self._tag(request, feeds, lambda present, chosen: present | chosen)

    @admin.action(description=gettext_lazy("Take tag away"), permissions=["change"])
    def take_tag(self, request: HttpRequest, feeds: QuerySet[Feed]) -> None:
        """Take the tags that are typed beside the button away from each of them."""
        self._tag(request, feeds, lambda present, chosen: present - chosen)

    def _tag(
        self,
        request: HttpRequest,
        feeds: QuerySet[Feed],
        change: Callable[[set[Tag], set[Tag]], set[Tag]],
    ) -> None:
        chosen = typed_tags(request, self.admin_site)
        if not chosen:
            return
        self._each(
            request,
            feeds,
            lambda feed: services.tag_feed(feed, change(set(feed.tags.all()), chosen)),
            _("Tagged."),
            lambda n: (
                ngettext("%(n)d feed has changed.", "%(n)d feeds have changed.", n) % {"n": n}
            ),
        )

    def _act_on_schedules(
        self,
        request: HttpRequest,
        feeds: QuerySet[Feed],
        work: Callable[[Sequence[ScheduledTask]], several.Refused],
        history: str,
        done: Callable[[int], str],
    ) -> None:
        """Do something with the schedules of all these feeds at once, and report the outcome."""
        schedules: dict[Feed, ScheduledTask] = {}
        for feed in feeds:
            if feed.schedule is None:
                error = UnknownFeed(
                    feed.url, "no schedule polls it. Schedule it again: schedule_rss URL"
                )
                messages.error(request, str(error))
            else:
                schedules[feed] = feed.schedule
        refused = work(list(schedules.values()))
        for why_not in refused.values():
            messages.error(request, str(why_not))
        changed = [feed for feed, schedule in schedules.items() if schedule.pk not in refused]
        if changed:
            user = cast(Any, request.user)
            LogEntry.objects.log_actions(user.pk, changed, CHANGE, history)
            messages.success(request, done(len(changed)))
