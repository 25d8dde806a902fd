"""Numbers for people have separators where a site wants them; those for machines never have."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.signals import pre_save
from django.test import Client
from redis import Redis

from tests.every_page import every_page
from tests.tasks.admin_pages.test_size import fill

pytestmark = pytest.mark.django_db
# Whatever a key is written into, and what scripts read; not what is said to people.
FOR_MACHINES = re.compile(
    r"""\s(?:href|action|value|id|for|name|max|min|aria-controls|data-(?!label)[a-z-]+)="[^"]*"""
    r"""(?<!\d)\d{1,3},\d{3}(?!\d)[^"]*\""""
)
A_KEY = re.compile(r"(?<![\d,.])40,\d{3}(?!\d)")


@pytest.fixture
def _large_keys() -> Iterator[None]:
    """Give what is stored keys of five digits, which no other number on a page begins like."""
    keys = itertools.count(40_001)

    def give_key(instance: Any, **_kwargs: Any) -> None:
        if instance.pk is None and type(instance)._meta.app_label in ("tasks", "feeds"):
            instance.pk = next(keys)

    pre_save.connect(give_key)
    yield
    pre_save.disconnect(give_key)


@pytest.mark.usefixtures("_large_keys")
def test_no_key_and_no_number_for_a_script_is_written_with_separators(
    admin_client: Client, redis_connection: Redis, settings: Any
):
    settings.USE_THOUSAND_SEPARATOR = True
    fill(redis_connection, 4)
    wrong = {}
    for page in every_page():
        answer = page.ask(admin_client)
        text = "" if answer.streaming else answer.content.decode()
        if found := FOR_MACHINES.findall(text) + A_KEY.findall(text):
            wrong[page.name] = found
    assert wrong == {}
