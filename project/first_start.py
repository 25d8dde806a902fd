"""What a new system begins with: someone who may log in, and feeds to poll.

A system is new as long as it has no superuser. What people then pause, cancel or delete
stays so: a later start schedules only what FEEDS newly names.
"""

import secrets

from django.conf import settings
from django.contrib.auth import get_user_model
from django.urls import reverse

from feeds.models import Feed
from feeds.services import schedule_feed, validate_url
from tasks.services import SchedulerService

ADMIN = "admin"
ACTIVITY_INTERVAL = 5  # seconds


def is_new() -> bool:
    """Return whether nobody can manage the system yet."""
    return not get_user_model().objects.filter(is_superuser=True).exists()


def make_admin() -> str:
    """Make the first superuser and return the password, which is stored nowhere else."""
    password = secrets.token_urlsafe(12)
    get_user_model().objects.create_superuser(ADMIN, password=password)
    return password


def schedule_named_feeds() -> None:
    """Poll the feeds that FEEDS names from now on, unless they are known already."""
    for url in settings.FEEDS:
        if not Feed.objects.filter(url=validate_url(url)).exists():
            feed = schedule_feed(url)
            assert feed.schedule is not None
            SchedulerService.run_now(feed.schedule)


def schedule_activity_feed(address: str) -> None:
    """Poll the system's own activity feed; later, only follow its address."""
    path = reverse("feeds:activity")
    url = f"{address}{path}"
    known = Feed.objects.filter(url__startswith="http://127.0.0.1:", url__endswith=path)
    if known:
        known.exclude(url=url).update(url=url)
    elif is_new():
        schedule_feed(url, interval=ACTIVITY_INTERVAL, name="Activity feed")
