"""The project's own activity as an Atom feed."""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse, reverse_lazy
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from feeds.reading.text import clean_text
from tasks.masking import mask_text
from tasks.models import ScheduledTaskInstance

LATEST = 50


class ActivityFeed(Feed):
    """The runs that ended most recently.

    It is public, so it is there only if the site asks for it (FEEDS_ACTIVITY_FEED), and shows
    names, statuses and times only: no logs, arguments, results or tracebacks, nor why a run
    failed, since that text comes from the task function.
    """

    feed_type = Atom1Feed
    title = gettext_lazy("Latest runs")
    subtitle = gettext_lazy("The latest runs of all schedules.")
    link = reverse_lazy("admin:index")
    feed_url = reverse_lazy("feeds:activity")

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not getattr(settings, "FEEDS_ACTIVITY_FEED", False):
            raise Http404("The activity feed is off: FEEDS_ACTIVITY_FEED.")
        return super().__call__(request, *args, **kwargs)

    def items(self) -> QuerySet[ScheduledTaskInstance]:
        runs = ScheduledTaskInstance.objects.filter(ended__isnull=False)
        runs = runs.select_related("parent").defer("log", "traceback", "result")
        return runs.order_by("-ended", "-id")[:LATEST]

    def item_title(self, item: ScheduledTaskInstance) -> str:
        status = item.get_status_display().capitalize()
        return _("%(status)s: %(name)s") % {
            "status": status,
            "name": clean_text(mask_text(item.name)),
        }

    def item_description(self, item: ScheduledTaskInstance) -> str:
        duration = item.duration
        if duration is not None:
            return _("It took %(seconds).1f s.") % {"seconds": duration.total_seconds()}
        return escape(clean_text(item.masked(item.reason_in_words())))

    def item_link(self, item: ScheduledTaskInstance) -> str:
        return reverse("admin:tasks_scheduledtaskinstance_change", args=[item.pk])

    def item_guid(self, item: ScheduledTaskInstance) -> str:
        """Return an id that a run keeps when it is tried again, and that no other site has."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{item.parent.job_id}/{item.pk}").urn

    def item_updateddate(self, item: ScheduledTaskInstance) -> datetime | None:
        return item.ended
