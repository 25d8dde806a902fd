"""System checks of the settings for feeds."""

from typing import Any

import pytest
from django.conf import LazySettings

from feeds.checks import check_keep_entries


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
