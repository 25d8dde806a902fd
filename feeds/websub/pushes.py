"""What follows from a push: the feed is polled now, by its own schedule.

So there is one way by which documents are fetched, read and stored, and a row for each time. A push
itself may hold a part of the feed only, as the recommendation allows.
"""

import logging
from datetime import datetime, timedelta

from django.db.models import Q

from feeds.models import Subscription
from tasks import clock
from tasks.exceptions import TasksError
from tasks.models import ScheduledTask
from tasks.services import SchedulerService

logger = logging.getLogger(__name__)

# What is pushed within this time of a requested poll is polled with the next upkeep, or when the
# feed is next due: no hub makes us ask a server more often.
GAP = timedelta(minutes=1)


def received(subscription: Subscription) -> None:
    """Note a push that the hub has signed, and request a poll of its feed."""
    now = clock.now()
    Subscription.objects.filter(pk=subscription.pk).update(pushed=now)
    request_poll(subscription, now)


def ignored(subscription: Subscription) -> None:
    """Note a push that the hub has not signed, or not with our secret; nothing follows from it."""
    now = clock.now()
    rare = Q(ignored=None) | Q(ignored__lt=now - GAP)
    if Subscription.objects.filter(rare, pk=subscription.pk).update(ignored=now):
        logger.warning("A push for “%s” is not signed as agreed: it is ignored.", subscription)


def request_poll(subscription: Subscription, now: datetime) -> bool:
    """Have the feed's schedule poll now, if it is live; return whether it will.

    No poll is added to one that waits. While one is going on, which may have come too early, or if
    none can be requested, the next upkeep does it.
    """
    schedule = subscription.feed.schedule if subscription.feed is not None else None
    if schedule is None or schedule.status not in ScheduledTask.LIVE:
        return False
    if schedule.runs.filter(status="running").exists():
        return False
    rare = Q(requested=None) | Q(requested__lt=now - GAP)
    if not Subscription.objects.filter(rare, pk=subscription.pk).update(requested=now):
        return False
    if schedule.requests.filter(due=None).exists():
        return True
    try:
        SchedulerService.run_now(schedule)
    except TasksError as error:
        Subscription.objects.filter(pk=subscription.pk).update(requested=subscription.requested)
        logger.warning("The hub of “%s” has pushed, but: %s", subscription, error)
        return False
    return True
