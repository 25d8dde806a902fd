"""What a feed offers, what is to be done with a subscription, and what a signature says."""

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from feeds.websub.offers import Offer, links, offer
from feeds.websub.rules import (
    Facts,
    State,
    Step,
    is_challenge,
    is_trusted,
    lease,
    next_step,
    state,
    wait,
)
from feeds.websub.signatures import read_signature

NOW = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
URL = "https://feeds.example/news.xml"
HUB = "https://hub.example/"
NEW = Facts(
    now=NOW,
    has_feed=True,
    is_wanted=True,
    is_here=True,
    pending="",
    ask_after=None,
    lease_end=None,
)
HELD = replace(NEW, lease_end=NOW + 2 * DAY, ask_after=NOW + DAY)


# Offers


def said(*lines: str) -> CIMultiDict[str]:
    return CIMultiDict([("Link", line) for line in lines])


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f'<{HUB}>; rel="hub", </self>; rel=self'], {"hub": HUB, "self": f"{URL[:21]}/self"}),
        ([f"<{HUB}>;rel=hub", '<x>; title="a"; REL="self next"'], {"hub": HUB}),
        (['<https://a.example/>; rel="HUB"', f"<{HUB}>; rel=hub"], {"hub": "https://a.example/"}),
        ([f'<{HUB}>; rel="hub"; anchor="#elsewhere"', "<javascript:x>; rel=hub"], {"hub": ""}),
        (["nonsense", "<" * 5_000, ";rel=" * 1_000, "<>; rel=hub"], {"hub": ""}),
    ],
)
def test_the_link_headers_of_an_answer_name_its_hub(lines, found):
    names = links(said(*lines), URL)
    assert {relation: names.get(relation, "") for relation in found} == found


def test_a_hub_in_the_headers_comes_before_that_of_the_document():
    document = Offer("https://old.example/", "https://feeds.example/old.xml")
    headers = said(f"<{HUB}>; rel=hub", f"<{URL}>; rel=self")
    assert offer(headers, "https://x.example/", document, None) == Offer(HUB, URL)
    assert offer({}, "https://x.example/", document, None) == document


def test_a_feed_that_does_not_say_its_address_has_the_one_that_answered():
    assert offer({}, URL, Offer(HUB, ""), None) == Offer(HUB, URL)


def test_a_document_that_was_not_read_names_the_hub_that_it_named_before():
    assert offer({}, URL, None, Offer(HUB, URL)) == Offer(HUB, URL)
    assert offer({}, URL, Offer("", ""), Offer(HUB, URL)) is None


@pytest.mark.parametrize(
    ("hub", "topic"),
    [
        ("https://me:hunter2@hub.example/", URL),
        (HUB, f"{URL}?token=hunter2-hunter2"),
        ("ftp://hub.example/", URL),
        ("", URL),
        (f"https://hub.example/{'x' * 3_000}", URL),
    ],
)
def test_a_hub_that_cannot_be_asked_or_would_learn_a_secret_is_none(hub, topic):
    assert offer({}, URL, Offer(hub, topic), None) is None


# Steps


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (NEW, Step.SUBSCRIBE),
        (replace(NEW, pending="subscribe", ask_after=NOW + HOUR), Step.NOTHING),
        (replace(NEW, pending="subscribe", ask_after=NOW), Step.SUBSCRIBE),
        (HELD, Step.NOTHING),
        (replace(HELD, ask_after=NOW), Step.SUBSCRIBE),
        (replace(HELD, lease_end=NOW, ask_after=NOW), Step.SUBSCRIBE),
        (replace(HELD, is_here=False), Step.SUBSCRIBE),
        (replace(HELD, pending="unsubscribe"), Step.SUBSCRIBE),
        (replace(HELD, is_wanted=False), Step.UNSUBSCRIBE),
        (replace(HELD, is_wanted=False, pending="unsubscribe"), Step.NOTHING),
        (replace(HELD, is_wanted=False, pending="unsubscribe", ask_after=NOW), Step.UNSUBSCRIBE),
        (replace(NEW, is_wanted=False), Step.NOTHING),
        (replace(NEW, is_wanted=False, has_feed=False), Step.FORGET),
        (replace(HELD, is_wanted=False, has_feed=False), Step.UNSUBSCRIBE),
        (replace(HELD, is_wanted=False, has_feed=False, lease_end=NOW), Step.FORGET),
    ],
)
def test_a_subscription_is_asked_for_renewed_ended_and_forgotten_in_time(facts, step):
    assert next_step(facts) == step


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (NEW, State.NOT_ASKED),
        (replace(NEW, pending="subscribe"), State.UNANSWERED),
        (replace(NEW, failure="no"), State.FAILED),
        (replace(HELD, failure="no"), State.HELD),
        (replace(HELD, is_wanted=False), State.GIVEN_UP),
    ],
)
def test_a_subscription_has_a_state(facts, found):
    assert state(facts) == found


def test_a_hub_that_does_not_confirm_is_asked_less_and_less_often():
    assert [wait(attempts) for attempts in (1, 2, 3)] == [HOUR, 2 * HOUR, 4 * HOUR]
    assert wait(10**9) == 3 * DAY


@pytest.mark.parametrize(
    ("was", "pushed", "polled", "new", "updated", "trusted"),
    [
        (False, NOW, NOW - HOUR, 1, 0, True),
        (False, NOW, NOW - HOUR, 0, 1, True),
        (False, NOW, None, 1, 0, True),
        (True, NOW, NOW - HOUR, 0, 0, False),
        (True, NOW - HOUR, NOW, 0, 1, True),
        (True, NOW - HOUR, NOW, 1, 0, False),
        (False, NOW - HOUR, NOW, 0, 0, False),
        (False, None, None, 1, 0, False),
    ],
)
def test_a_hub_is_trusted_if_what_it_pushes_is_there_and_nothing_else_is_new(
    was, pushed, polled, new, updated, trusted
):
    found = is_trusted(was, pushed=pushed, polled=polled, new=new, updated=updated)
    assert found == trusted


@pytest.mark.parametrize(
    ("seconds", "span"),
    [
        ("86400", DAY),
        ("", 10 * DAY),
        ("9999999999", 31 * DAY),
        ("0", None),
        ("-5", None),
        ("٣", None),
        ("9" * 5_000, None),
    ],
)
def test_a_lease_is_as_long_as_the_hub_says_within_limits(seconds: str, span: Any):
    assert lease(seconds) == span


@pytest.mark.parametrize("text", ["", "x" * 1_001, "a\nb", "ä", "\0"])
def test_what_is_no_challenge_is_not_sent_back(text: str):
    assert not is_challenge(text)


# Signatures


METHODS = ["sha1", "sha256", "sha384", "sha512"]


@given(st.sampled_from(METHODS), st.text(min_size=1), st.binary(), st.booleans())
def test_a_signature_is_that_of_its_body_and_secret_only(method, secret, body, upper):
    digest = hmac.new(secret.encode(), body, method).hexdigest()
    signature = read_signature(f"{method}={digest.upper() if upper else digest}")
    assert signature is not None
    for key, data, is_right in (
        (secret, body, True),
        (secret + "x", body, False),
        (secret, body + b"x", False),
    ):
        computed = signature.of(key)
        computed.update(data)
        assert signature.is_that_of(computed) == is_right


@given(st.one_of(st.text(), st.from_regex(r"sha\d{1,3}=[0-9a-fA-F]*", fullmatch=True)))
@example("md5=d41d8cd98f00b204e9800998ecf8427e")
@example("sha1=")
@example(f"sha1={'٣' * 40}")
@example(f"sha256={'0' * 40}")
def test_any_header_is_a_whole_signature_or_none(header: str):
    signature = read_signature(header)
    if signature is not None:
        assert signature.method in METHODS
        assert len(signature.digest) == hashlib.new(signature.method).digest_size
