"""Tags by their names: the case of letters makes no second one."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from tasks.models import Tag
from tasks.services import SchedulerService
from tasks.tags import tags_by_name, tags_named
from tests.tasks.functions import ECHO
from tests.tasks.pages import errors_of

pytestmark = pytest.mark.django_db


def names() -> list[str]:
    return sorted(Tag.objects.values_list("name", flat=True))


@pytest.mark.parametrize(("there", "given"), [("shop", "SHOP"), ("Größe", "GRÖSSE"), ("x", "x")])
def test_a_name_that_differs_only_in_case_means_the_tag_there_is(there: str, given: str):
    tag = Tag.objects.create(name=there)
    assert tags_named([given]) == [tag]
    assert names() == [there]


def test_of_new_names_that_differ_only_in_case_the_first_makes_the_tag():
    [tag] = tags_named(["News", "NEWS", "news"])
    assert (tag.name, names()) == ("News", ["News"])


def test_tags_that_differ_only_in_case_from_before_are_told_apart_by_their_exact_names():
    old, twin = Tag.objects.create(name="shop"), Tag.objects.create(name="SHOP")
    assert tags_by_name(["SHOP", "shop", "Shop"]) == {"SHOP": twin, "shop": old, "Shop": old}


def test_a_new_tag_or_name_that_differs_only_in_case_is_refused_and_an_old_one_stays():
    old, twin = Tag.objects.create(name="shop"), Tag.objects.create(name="SHOP")
    other = Tag.objects.create(name="other")
    old.full_clean()
    twin.full_clean()
    other.name = "Shop"
    for tag in (Tag(name="Shop"), other):
        with pytest.raises(ValidationError, match=r"There is already a tag “(shop|SHOP)”"):
            tag.full_clean()
    other.name = "Other"  # The same tag, written otherwise.
    other.full_clean()


def test_the_form_says_that_there_is_such_a_tag(admin_client: Client):
    Tag.objects.create(name="shop")
    response: Any = admin_client.post(reverse("admin:tasks_tag_add"), {"name": "SHOP"})
    assert "There is already a tag “shop”" in str(errors_of(response)["name"])
    assert names() == ["shop"]


def test_many_schedules_get_the_tag_there_is_once():
    tag = Tag.objects.create(name="shop")
    tags = ["SHOP", "Shop", "new", "NEW"]
    entry = {"task_func": ECHO, "cron_string": "0 6 * * *", "tags": tags}
    [stored] = SchedulerService.schedule_many([entry])
    assert set(stored.tags.values_list("name", flat=True)) == {"shop", "new"}
    assert tag in stored.tags.all()
    [change] = stored.changes.all()
    assert change.changes["tags"] == [[], ["new", "shop"]]
