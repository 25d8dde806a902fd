"""What a new system begins with: someone who may log in, and feeds to poll.

A system is new as long as it has no superuser. Whatever people pause, cancel or delete later
stays so: a later start schedules only feeds that are new in FEEDS.
"""

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils.translation import gettext as _

from feeds.addresses import validate_url
from feeds.models import Feed
from feeds.services import schedule_feed
from project.logs import ACTIVITY_NAME
from tasks.models import ScheduledTask
from tasks.services import SchedulerService

ADMIN = "admin"
ACTIVITY_INTERVAL_SECONDS = 5


def is_new() -> bool:
    """Return whether nobody can manage the system yet."""
    return not get_user_model().objects.filter(is_superuser=True).exists()


def is_unvisited() -> bool:
    """Return whether nobody has ever logged in."""
    return not get_user_model().objects.filter(last_login__isnull=False).exists()


def keep_calls_for_a_month() -> None:
    """Note that this site is new: what an older one has of background calls isn't deleted."""
    settings.KEEP_CALLS_NOTE.touch()


def make_admin() -> str:
    """Make the first superuser and return its password, which is stored only as a hash."""
    password = secrets.token_urlsafe(12)
    get_user_model().objects.create_superuser(ADMIN, password=password)
    return password


def schedule_named_feeds() -> None:
    """Poll the feeds in FEEDS from now on, unless they are already known."""
    for url in settings.FEEDS:
        if not Feed.objects.filter(url=validate_url(url)).exists():
            feed = schedule_feed(url)
            assert feed.schedule is not None
            SchedulerService.run_now(feed.schedule)


def schedule_activity_feed(address: str) -> None:
    """Poll the system's own activity feed; on later starts only update its address.

    If it is off, polling it is paused.
    """
    path = reverse("feeds:activity")
    url = f"{address}{path}"
    known = Feed.objects.filter(url__startswith="http://127.0.0.1:", url__endswith=path)
    if not settings.ACTIVITY_FEED_OF_UP:
        for schedule in ScheduledTask.objects.live().filter(pk__in=known.values("schedule")):
            SchedulerService.pause(schedule, _("The activity feed is off (ACTIVITY_FEED)."))
    elif known:
        known.exclude(url=url).update(url=url)
    elif is_new():
        schedule_feed(url, interval=ACTIVITY_INTERVAL_SECONDS, name=ACTIVITY_NAME)
