"""The zone in which a viewer sees times."""

from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.forms.utils import from_current_timezone
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from tasks.admin_pages.viewer_zone import (
    COOKIE,
    TIMES_COOKIE,
    chosen_zone,
    in_viewer_zone,
    zone_names,
)
from tests.tasks.pages import SCHEDULES, page_of, text_of
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db
ZONE = reverse("admin:tasks_zone")
DUE = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _without_middleware(settings: LazySettings) -> None:
    """Be another site: only this one has the middleware."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "ViewerZone" not in name]


def test_times_are_in_the_zone_that_the_viewer_has_chosen(admin_client: Client):
    page = page_of(make_run(make_row(), due=DUE))
    assert "2026-01-15 12:00:00" in text_of(admin_client.get(page))
    admin_client.cookies[COOKIE] = "Asia/Seoul"
    assert "2026-01-15 21:00:00" in text_of(admin_client.get(page))


def test_the_zone_of_one_viewer_is_not_that_of_the_next(admin_client: Client):
    page = page_of(make_run(make_row(), due=DUE))
    admin_client.cookies[COOKIE] = "Asia/Seoul"
    admin_client.get(page)
    assert timezone.get_current_timezone_name() == "UTC"
    del admin_client.cookies[COOKIE]
    assert "2026-01-15 12:00:00" in text_of(admin_client.get(page))


def test_a_time_that_is_typed_is_read_in_the_viewers_zone(rf: RequestFactory):
    request = rf.get("/")
    request.COOKIES[COOKIE] = "Asia/Seoul"
    with in_viewer_zone(request):
        assert from_current_timezone(datetime(2026, 1, 15, 21, 0)) == DUE


@pytest.mark.parametrize("value", ["", "Mars/Olympus", "../../etc/passwd", "\0", "/etc/localtime"])
def test_what_is_no_zone_counts_as_no_choice(rf: RequestFactory, value: str):
    request = rf.get("/")
    request.COOKIES[COOKIE] = value
    assert chosen_zone(request) is None


def test_a_zone_is_chosen_by_a_post_which_leads_back(admin_client: Client):
    page = page_of(make_row())
    response = admin_client.post(ZONE, {"zone": "Asia/Seoul", "next": page})
    assert response["Location"] == page
    assert response.cookies[COOKIE].value == "Asia/Seoul"
    assert "Times in Asia/Seoul" in text_of(admin_client.get(ZONE))


def test_looking_chooses_nothing(admin_client: Client):
    assert COOKIE not in admin_client.get(f"{ZONE}?zone=Asia/Seoul").cookies


def test_an_unknown_zone_is_refused_with_a_message(admin_client: Client):
    response = admin_client.post(ZONE, {"zone": "Mars/Olympus"})
    assert COOKIE not in response.cookies
    assert "There is no time zone “Mars/Olympus”." in text_of(response)


def test_nobody_is_led_to_another_site(admin_client: Client):
    data = {"zone": "Asia/Seoul", "next": "https://elsewhere.example/"}
    assert admin_client.post(ZONE, data)["Location"] == reverse("admin:index")


def test_only_staff_choose_a_zone(client: Client):
    assert client.post(ZONE, {"zone": "Asia/Seoul"}).status_code == 302
    assert COOKIE not in client.cookies


def test_zones_of_places_come_before_the_rest():
    names = zone_names()
    assert names.index("Asia/Seoul") < names.index("UTC")
    assert not {"localtime", "Factory"} & set(names)


def test_exact_times_are_switched_on_by_a_post_and_stay_until_they_are_switched_off(
    admin_client: Client,
):
    schedule = make_row(name="next year", first=DUE.replace(year=2040), interval=None)
    page = page_of(schedule, "page")
    switch = 'form="sl-times" name="times" value="{}" aria-pressed="{}"'
    assert switch.format("exact", "false") in admin_client.get(page).content.decode()
    assert ">15 Jan 2040<" in admin_client.get(page).content.decode()
    response = admin_client.post(ZONE, {"times": "exact", "next": page})
    assert response["Location"] == page
    for url in (page, SCHEDULES):
        shown = admin_client.get(url).content.decode()
        assert switch.format("words", "true") in shown
        assert ">2040-01-15 12:00:00<" in shown
    admin_client.post(ZONE, {"times": "words", "next": page})
    assert ">15 Jan 2040<" in admin_client.get(page).content.decode()


@pytest.mark.parametrize("value", ["", "x", "exact\0"])
def test_nothing_else_switches_times(admin_client: Client, value: str):
    assert TIMES_COOKIE not in admin_client.post(ZONE, {"times": value}).cookies
    assert TIMES_COOKIE not in admin_client.get(f"{ZONE}?times=exact").cookies
