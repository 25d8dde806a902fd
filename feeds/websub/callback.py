"""Where hubs come: to ask whether we mean it, and to tell that a feed has changed.

The recommendation has hubs ask by GET, and an answer of ours makes the subscription hold. So a GET
changes something here, as nowhere else: only what we have asked a hub for ourselves, and once. What
is answered says nothing to who doesn't know the key and the topic.
"""

import hmac
import logging
from datetime import datetime

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from feeds.asking.rules import MAX_BYTES
from feeds.models import Subscription
from feeds.websub import pushes, rules
from feeds.websub.signatures import read_signature
from tasks import clock
from tasks.clock import elapsed_clock
from tasks.masking import mask_text

logger = logging.getLogger(__name__)

CHUNK = 16_384
# In seconds: who sends a push more slowly isn't waited for.
PATIENCE = 10.0
MAX_REASON = 200
Mode = Subscription.Mode


@csrf_exempt
def callback(request: HttpRequest, key: str) -> HttpResponse:
    """Answer a hub."""
    try:
        answer = _answer(request, key)
    except DatabaseError:
        logger.exception("A hub could not be answered.")
        answer = HttpResponse(status=503)
    answer.headers["Content-Type"] = "text/plain; charset=utf-8"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Cache-Control"] = "no-store"
    # Django would log the path of what it takes for an error, and the key is in it.
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer


def _answer(request: HttpRequest, key: str) -> HttpResponse:
    if request.method not in ("GET", "POST"):
        return HttpResponse(status=405, headers={"Allow": "GET, POST"})
    known = Subscription.objects.select_related("feed__schedule").filter(key=key).first()
    if request.method == "GET":
        return HttpResponse(status=404) if known is None else _asked(request, known)
    # Before the body is read. A hub may end what it is told to be gone.
    return (
        HttpResponse(status=410) if known is None or known.feed is None else _push(request, known)
    )


def _asked(request: HttpRequest, known: Subscription) -> HttpResponse:
    """Answer whether we want what a hub asks about."""
    said = {name: request.GET.get(f"hub.{name}", "") for name in ("mode", "topic", "challenge")}
    now = clock.now()
    if said["topic"] != known.topic:
        return HttpResponse(status=404)
    if said["mode"] == "denied":
        is_noted = _denied(known, request.GET.get("hub.reason", ""), now)
        return HttpResponse(status=200 if is_noted else 404)
    is_meant = rules.is_challenge(said["challenge"]) and (
        (said["mode"] == Mode.SUBSCRIBE and _confirmed(known, request, now))
        or (said["mode"] == Mode.UNSUBSCRIBE and _ended(known))
    )
    return HttpResponse(said["challenge"]) if is_meant else HttpResponse(status=404)


def _confirmed(known: Subscription, request: HttpRequest, now: datetime) -> bool:
    """Note that a hub pushes from now on, if we have asked it to; that counts once."""
    span = rules.lease(request.GET.get("hub.lease_seconds", ""))
    if span is None:
        return False
    return _settle(
        known, Mode.SUBSCRIBE, lease_end=now + span, ask_after=now + span * rules.RENEWED_AT
    )


def _ended(known: Subscription) -> bool:
    """Note that a hub pushes no more, if we have asked it not to."""
    return _settle(known, Mode.UNSUBSCRIBE, lease_end=None, ask_after=None)


def _settle(known: Subscription, mode: Mode, **columns: datetime | None) -> bool:
    asked = Subscription.objects.filter(pk=known.pk, pending=mode)
    return bool(asked.update(pending="", attempts=0, failure="", **columns))


def _denied(known: Subscription, reason: str, now: datetime) -> bool:
    """Note that a hub doesn't push, or not any more, if we have asked it to."""
    is_held = known.lease_end is not None and known.lease_end > now
    if known.pending != Mode.SUBSCRIBE and not is_held:
        return False
    text = "".join(char if char.isprintable() else "?" for char in reason[:MAX_REASON])
    failure = _("the hub refuses, and does not say why.")
    if text:
        failure = _("the hub refuses: %(reason)s.") % {"reason": mask_text(text).rstrip(".")}
    columns = {"pending": "", "failure": failure, "lease_end": None}
    Subscription.objects.filter(pk=known.pk).update(ask_after=now + rules.LONGEST_WAIT, **columns)
    logger.warning("The hub of “%s” refuses to push it.", known)
    return True


def _push(request: HttpRequest, known: Subscription) -> HttpResponse:
    """Take a push: only whether its hub has signed it counts, its body is not kept."""
    signature = read_signature(request.headers.get("X-Hub-Signature", ""))
    if signature is None:
        pushes.ignored(known)
        return HttpResponse(status=202)
    computed = signature.of(known.secret)
    status = _digest(request, computed)
    if status != 202:
        return HttpResponse(status=status)
    if signature.is_that_of(computed):
        pushes.received(known)
    else:
        pushes.ignored(known)
    return HttpResponse(status=202)


def _digest(request: HttpRequest, computed: hmac.HMAC) -> int:
    """Read the body, no more than a feed may have, and not for long; return how that ended."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > MAX_BYTES:
        return 413
    begun = elapsed_clock()
    try:
        while chunk := request.read(CHUNK):
            computed.update(chunk)
            if elapsed_clock() - begun > PATIENCE:
                return 408
    except UnreadablePostError:
        return 400
    return 202
