"""One request to a hub: bounded in time, and never to a private address, on any hop."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import aiohttp
from yarl import URL

from feeds.addresses import validate_url
from feeds.asking import moves, pace
from feeds.asking.client import Connections, attempting, connections
from feeds.asking.errors import feed_error
from feeds.asking.headers import retry_after
from feeds.asking.rules import Rules, rules_of_site
from feeds.asking.user_agent import user_agent
from feeds.exceptions import BadRedirect, BadUrl, BrokenOff, FetchTimeout, HttpStatus
from tasks import clock
from tasks.exceptions import marked

# In seconds, for everything together.
TIMEOUT = 20.0
MAX_REDIRECTS = 3
# Those with which a hub names another one; no other keeps the form.
REDIRECTS = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)


async def send(hub: str, form: Mapping[str, str], rules: Rules | None = None) -> None:
    """Send a form to a hub, which takes it or not; raises a FeedError that says what is wrong."""
    rules = rules_of_site() if rules is None else rules
    if not rules.is_exempt(URL(hub)):
        await pace.wait_for_turn(URL(hub).host or "", rules.gap)
    try:
        async with asyncio.timeout(TIMEOUT), connections() as shared:
            here = URL(hub)
            for _ in range(MAX_REDIRECTS + 1):
                target = await _post(shared, here, form, rules)
                if target is None:
                    return
                here = target
    except TimeoutError as error:
        raise FetchTimeout(
            hub, "the hub took longer than %(limit)g s. It will be asked again.", limit=TIMEOUT
        ) from error
    raise BadRedirect(
        hub, "the hub redirects more than %(limit)d times. Tell its operator.", limit=MAX_REDIRECTS
    )


async def _post(shared: Connections, url: URL, form: Mapping[str, str], rules: Rules) -> URL | None:
    """Send the form once; return where the hub redirects to, None if it has taken it."""
    is_exempt = rules.is_exempt(url)
    attempt = attempting(rules.ports)
    timeout = aiohttp.ClientTimeout(
        total=None, connect=rules.connect_timeout, sock_connect=rules.connect_timeout
    )
    headers = {"User-Agent": user_agent(rules.contact)}
    try:
        begun = shared.post(url, headers, form, timeout, is_exempt=is_exempt)
        async with begun as answer:
            location = answer.headers.get("Location")
            if answer.status in REDIRECTS and location:
                return _target(url, location)
            if not 200 <= answer.status < 300:
                raise _refusal(str(url), answer)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise feed_error(url, attempt, error) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # A poll was looking up the same host, and was cancelled.
        raise BrokenOff(
            str(url), "looking up its host was broken off. It will be tried again."
        ) from error
    return None


def _target(url: URL, location: str) -> URL:
    try:
        target = URL(validate_url(str(url.join(URL(location)))))
    except (BadUrl, ValueError) as error:
        raise BadRedirect(
            str(url), "the hub redirects to what is not a web address. Tell its operator."
        ) from error
    if moves.is_downgrade(str(url), str(target)):
        raise BadRedirect(
            str(url),
            "the hub redirects from https to http, where anybody in between could read what is "
            "sent. Tell its operator.",
        )
    return target


def _refusal(url: str, answer: aiohttp.ClientResponse) -> HttpStatus:
    known = answer.status in frozenset(HTTPStatus)
    words = f"{answer.status} {HTTPStatus(answer.status).phrase}" if known else str(answer.status)
    text = marked("the hub answered %(answer)s. It will be asked again.")
    span = retry_after(answer.headers, clock.now())
    return HttpStatus(url, text, answer.status, span, "", answer=words)
