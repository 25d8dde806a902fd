"""Asks hubs for what is to be asked: to subscribe, to renew that in time, and to unsubscribe.

A hub is asked for one subscription after another; once it has not answered, or wants to be left
alone, the rest of its subscriptions wait for the next time.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import groupby
from typing import Any

from django.db.models import F, QuerySet

from feeds.asking import backoff
from feeds.exceptions import FeedError, HttpStatus, shown_url
from feeds.models import Subscription
from feeds.websub import hub, pushes, rules
from feeds.websub.public_url import callback_url, public_url
from feeds.websub.rules import Facts, Step
from tasks import clock
from tasks.models import ScheduledTask
from tasks.runs.shared_threads import in_shared_thread

logger = logging.getLogger(__name__)

# How many subscriptions are asked for in a run, and how many hubs at a time: a run ends before the
# next one begins, whatever the hubs do.
MOST = 300
HUBS_AT_ONCE = 20
# What ends what is asked of a hub in this run: it has too much to do, or is broken.
OVERBURDENED = (HTTPStatus.TOO_MANY_REQUESTS, *(each for each in HTTPStatus if each >= 500))


@dataclass(slots=True)
class Counts:
    """What a run has come to: how often hubs have taken a request, or not, and pushes made up."""

    subscribed: int = 0
    unsubscribed: int = 0
    failed: int = 0
    polls: int = 0


def facts_of(
    subscription: Subscription, has_feed: bool, status: str | None, now: datetime
) -> Facts:
    """Return what a subscription's rules depend on; `status` is that of the feed's schedule."""
    return Facts(
        now=now,
        has_feed=has_feed,
        is_wanted=bool(public_url()) and status in ScheduledTask.LIVE,
        is_here=subscription.callback == callback_url(subscription.key),
        pending=subscription.pending,
        ask_after=subscription.ask_after,
        lease_end=subscription.lease_end,
        failure=subscription.failure,
    )


async def keep() -> Counts:
    """Do what is to be done now, and return what came of it."""
    counts = Counts(polls=await in_shared_thread(make_up_for_pushes))
    work = await in_shared_thread(to_ask)
    places = asyncio.Semaphore(HUBS_AT_ONCE)

    async def ask(of_hub: Sequence[tuple[Subscription, Step]]) -> None:
        async with places:
            await _ask_hub(of_hub, counts)

    by_hub = groupby(sorted(work, key=_hub_of), key=_hub_of)
    async with asyncio.TaskGroup() as group:
        for _, of_hub in by_hub:
            group.create_task(ask(list(of_hub)))
    return counts


def to_ask() -> list[tuple[Subscription, Step]]:
    """Return for which subscriptions their hubs are to be asked now; what is left over is deleted.

    Those that have waited longest come first.
    """
    now = clock.now()
    steps = [(one, rules.next_step(_facts(one, now))) for one in _all()]
    left_over = [subscription.pk for subscription, step in steps if step is Step.FORGET]
    Subscription.objects.filter(pk__in=left_over).delete()
    return [work for work in steps if work[1] in (Step.SUBSCRIBE, Step.UNSUBSCRIBE)][:MOST]


def make_up_for_pushes() -> int:
    """Request the polls that could not be requested when their hub pushed; return how many."""
    late = Subscription.objects.select_related("feed__schedule").filter(feed__isnull=False)
    late = late.filter(pushed__isnull=False).exclude(requested__gte=F("pushed"))
    now = clock.now()
    return sum(pushes.request_poll(subscription, now) for subscription in late[:MOST])


def _all() -> QuerySet[Subscription, Any]:
    # Of the feed itself: older code, while a new version is rolled out, leaves its key here.
    rows = Subscription.objects.annotate(
        feed_url=F("feed__url"), schedule_status=F("feed__schedule__status")
    )
    return rows.order_by(F("asked").asc(nulls_first=True), "pk")


def _facts(row: Any, now: datetime) -> Facts:
    return facts_of(row, row.feed_url is not None, row.schedule_status, now)


def _hub_of(work: tuple[Subscription, Step]) -> str:
    return work[0].hub


async def _ask_hub(work: Iterable[tuple[Subscription, Step]], counts: Counts) -> None:
    for subscription, step in work:
        form = await in_shared_thread(_begin, subscription, step)
        if form is None:
            continue
        try:
            await hub.send(subscription.hub, form)
        except FeedError as error:
            counts.failed += 1
            await in_shared_thread(_failed, subscription, error)
            if _is_overburdened(error):
                return
        else:
            counts.subscribed += step is Step.SUBSCRIBE
            counts.unsubscribed += step is Step.UNSUBSCRIBE


def _begin(subscription: Subscription, step: Step) -> dict[str, str] | None:
    """Note that the hub is asked now, and return with what; None if somebody else has just done so.

    Before it is: a hub may come back before it answers.
    """
    now = clock.now()
    attempts = subscription.attempts + 1
    is_new = step is Step.SUBSCRIBE
    columns = {"callback": callback_url(subscription.key)} if is_new else {}
    same = Subscription.objects.filter(pk=subscription.pk, asked=subscription.asked)
    asked = same.update(
        pending=step.value,
        asked=now,
        attempts=attempts,
        failure="",
        ask_after=now + rules.wait(attempts),
        **columns,
    )
    if not asked:
        return None
    subscription.asked, subscription.attempts = now, attempts
    form = {
        "hub.mode": step.value,
        "hub.topic": subscription.topic,
        "hub.callback": columns.get("callback", subscription.callback),
    }
    if is_new:
        seconds = int(rules.LEASE.total_seconds())
        form |= {"hub.secret": subscription.secret, "hub.lease_seconds": str(seconds)}
    return form


def _failed(subscription: Subscription, error: FeedError) -> None:
    """Note why a hub was asked in vain, unless it has confirmed nevertheless."""
    now = clock.now()
    span = max(rules.wait(subscription.attempts), backoff.retry_after(error) or rules.WAIT)
    open_ones = Subscription.objects.filter(pk=subscription.pk, asked=subscription.asked)
    open_ones.exclude(pending="").update(failure=error.problem, ask_after=now + span)
    logger.warning("About %s: %s", shown_url(subscription.topic), error)


def _is_overburdened(error: FeedError) -> bool:
    """Return whether a hub is to be left alone, as opposed to having refused one subscription."""
    return not isinstance(error, HttpStatus) or error.status in OVERBURDENED
