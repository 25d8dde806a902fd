"""The check of `fetch_rss`: whether a feed may be asked now, by its rows."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from rq import get_current_job

from feeds.asking.hosts import host_of
from feeds.asking.permission import Decision, Outcome, Situation, decide
from feeds.models import Feed, FeedHost, Subscription
from tasks import clock
from tasks.decorators import NotAtAll, NotNow
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.runs.shared_threads import leaves_nothing

# A feed that is pushed is polled nevertheless, this long after the last time.
SAFETY_NET = timedelta(hours=6)


@leaves_nothing
def may_ask(feed: Feed) -> NotNow | NotAtAll | None:
    """Return why a feed isn't to be asked now, None if it may be.

    What a person or a retry wants is refused only if the server wants to be left alone.
    """
    decision = decide(situation(feed, clock.now(), is_wanted=_is_wanted()))
    if decision.outcome is Outcome.ASK:
        return None
    if decision.outcome is Outcome.GONE_FOR_GOOD:
        return NotAtAll(in_words(decision))
    return NotNow(in_words(decision))


def situation(feed: Feed, now: datetime, *, is_wanted: bool) -> Situation:
    """Return what the decision depends on, as the rows have it."""
    return Situation(
        now=now,
        is_wanted=is_wanted,
        ignores_hints=feed.ignores_hints,
        is_adaptive=feed.adaptive,
        not_before=feed.not_before,
        why=feed.not_before_why,
        host_not_before=_host_not_before(feed, now),
        skip_hours=feed.skip_hours or (),
        skip_days=feed.skip_days or (),
        is_gone_for_good=_is_gone_for_good(feed),
        pushed_until=_pushed_until(feed, now),
    )


def in_words(decision: Decision) -> str:
    """Say why a feed isn't asked."""
    until = "" if decision.until is None else _shown(decision.until)
    words = {
        Outcome.ASK: _("It may be asked now."),
        Outcome.HOST_RETRY_AFTER: _("Its host wants no requests before %(until)s."),
        Outcome.RETRY_AFTER: _("Its server wants no requests before %(until)s."),
        Outcome.FAILURES: _("It has failed: it is asked again after %(until)s."),
        Outcome.GONE: _(
            "Its server says that it is gone (410): it is asked again after %(until)s."
        ),
        Outcome.FRESH: _("Its server says that nothing new is to be expected before %(until)s."),
        Outcome.ADAPTIVE: _(
            "By how often it publishes, nothing new is to be expected before %(until)s."
        ),
        Outcome.SKIPPED_TIME: _("The feed itself says that nothing is new before %(until)s."),
        Outcome.PUSHED: _(
            "Its hub tells when it has changed: unless it does, it is asked again after %(until)s."
        ),
        Outcome.GONE_FOR_GOOD: _(
            "Its server has said for days that it is gone (410). To ask again, resume its schedule."
        ),
    }
    return words[decision.outcome] % {"until": until}


def _shown(time: datetime) -> str:
    local = timezone.localtime(time)
    return f"{date_format(local, 'Y-m-d H:i')} {local.tzname()}"


def _is_wanted() -> bool:
    """Return whether a person or a retry wants the run whose check this is."""
    job = get_current_job()
    run_id = None if job is None else RunId.parse(job.id)
    return run_id is not None and (run_id.is_requested or run_id.attempt > 1)


def _host_not_before(feed: Feed, now: datetime) -> datetime | None:
    names = {host_of(feed.url), host_of(feed.final_url)}
    waiting = FeedHost.objects.filter(name__in=names, not_before__gt=now)
    return max(waiting.values_list("not_before", flat=True), default=None)


def _pushed_until(feed: Feed, now: datetime) -> datetime | None:
    """Return until when a feed needs no poll because a hub that is to be trusted pushes it."""
    if feed.pk is None or not getattr(settings, "FEEDS_PUBLIC_URL", ""):
        return None
    trusted = Subscription.objects.filter(feed=feed, trusted=True, lease_end__gt=now)
    polled = trusted.values_list("polled", flat=True).first()
    return None if polled is None else polled + SAFETY_NET


def _is_gone_for_good(feed: Feed) -> bool:
    """Return whether it is gone, and nobody has touched or resumed its schedule since then."""
    if feed.gone_for_good is None or feed.schedule_id is None:
        return False
    starts = ScheduledTask.objects.filter(pk=feed.schedule_id).values_list(
        "period_start", flat=True
    )
    return all(start <= feed.gone_for_good for start in starts)
