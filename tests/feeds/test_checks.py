"""System checks of the settings for feeds."""

from typing import Any

import pytest
from django.conf import LazySettings

from feeds.checks import check_keep_entries, check_public_url


@pytest.mark.parametrize("value", [{"days": 0}, {"number": "9"}, {"entries": 3}, 30])
def test_what_to_keep_of_entries_is_refused_if_it_makes_no_sense(
    settings: LazySettings, value: Any
):
    settings.FEEDS_KEEP_ENTRIES = value
    assert [message.id for message in check_keep_entries()] == ["feeds.E002"]


@pytest.mark.parametrize("value", [None, {}, {"days": 30, "number": 5}])
def test_what_to_keep_of_entries_may_be_days_or_a_number_or_nothing(
    settings: LazySettings, value: Any
):
    settings.FEEDS_KEEP_ENTRIES = value
    assert check_keep_entries() == []


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("", []),
        ("https://jobs.example", []),
        ("https://jobs.example:8443/app/", []),
        ("http://jobs.example", ["feeds.W002"]),
        ("https://other.example", ["feeds.W001"]),
        ("http://[::1]/", ["feeds.W001", "feeds.W002"]),
        ("https://jobs.example/?x=1", ["feeds.E003"]),
        ("https://jobs.example/#x", ["feeds.E003"]),
        ("https://me:secret@jobs.example/", ["feeds.E003"]),
        ("jobs.example", ["feeds.E003"]),
        ("ftp://jobs.example", ["feeds.E003"]),
        ("https://jobs.example:99999", ["feeds.E003"]),
        ("https://[x/", ["feeds.E003"]),
        (7, ["feeds.E003"]),
    ],
)
def test_hubs_must_be_able_to_reach_the_site_at_its_public_address(
    settings: LazySettings, url: Any, ids: list[str]
):
    settings.FEEDS_PUBLIC_URL, settings.ALLOWED_HOSTS = url, ["jobs.example"]
    assert [message.id for message in check_public_url()] == ids


@pytest.mark.urls("tests.feeds.websub.no_urls")
def test_a_site_with_a_public_address_has_a_page_for_hubs(settings: LazySettings):
    settings.FEEDS_PUBLIC_URL, settings.ALLOWED_HOSTS = "https://jobs.example", ["jobs.example"]
    assert [message.id for message in check_public_url()] == ["feeds.E004"]
