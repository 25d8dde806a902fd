"""The look of the whole site, and what comes first in it."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path, reverse

from project.urls import urlpatterns as project_urls
from tasks.models import Tag
from tests.tasks.pages import SCHEDULES, staff, text_of
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db
INDEX, LOGIN = reverse("admin:index"), reverse("admin:login")


def app_list(rf: RequestFactory, admin_user: User) -> list[dict[str, Any]]:
    request = rf.get("/")
    request.user = admin_user
    return admin.site.get_app_list(request)


def test_schedules_come_first_and_their_pages_in_the_order_of_use(
    rf: RequestFactory, admin_user: User
):
    apps = app_list(rf, admin_user)
    assert [app["app_label"] for app in apps[:2]] == ["tasks", "feeds"]
    assert str(apps[0]["name"]) == "Schedule Ledger"
    pages = [
        model["object_name"] for model in apps[0]["models"] if model["object_name"] != "Overview"
    ]
    assert pages[:3] == ["ScheduledTask", "ScheduledTaskInstance", "Task"]


def test_the_overview_is_the_first_link_for_those_who_may_see_schedules(
    rf: RequestFactory, admin_user: User
):
    first = app_list(rf, admin_user)[0]["models"][0]
    assert (first["object_name"], first["admin_url"]) == ("Overview", "/admin/tasks/overview/")
    assert app_list(rf, User.objects.create_user("nobody", is_staff=True)) == []


@pytest.mark.parametrize("page", [INDEX, LOGIN, reverse("admin:auth_user_add")])
def test_each_page_of_the_site_has_its_name_its_mark_and_its_look(
    admin_client: Client, client: Client, page: str
):
    text = (client if page == LOGIN else admin_client).get(page).content.decode()
    assert "| Schedule Ledger</title>" in text
    assert text.count("project/mark.svg") == 2
    assert "project/site.css" in text
    assert text.rindex(".css") < text.rindex("project/site.css") + len("project/site.css")


def test_a_browser_that_asks_for_the_icon_by_its_usual_name_gets_it(client: Client):
    response = client.get("/favicon.ico")
    assert response["Location"] == f"{settings.STATIC_URL}project/mark.svg"


def test_the_page_for_people_who_are_locked_out_is_in_the_same_look(client: Client):
    User.objects.create_superuser("grace", password="right")
    for _ in range(settings.AXES_FAILURE_LIMIT + 1):
        response = client.post(LOGIN, {"username": "grace", "password": "wrong"})
    text = response.content.decode()
    assert response.status_code == 429
    assert "project/site.css" in text
    assert "admin/css/login.css" in text
    assert "Schedule Ledger" in text


def failing(request: HttpRequest) -> HttpResponse:
    raise ValueError("on purpose")


urlpatterns = [path("failing/", failing), *project_urls]


@pytest.mark.urls("tests.project.test_site")
@pytest.mark.parametrize(
    ("address", "status", "title"),
    [
        ("/nothing/", 404, "There is no such page"),
        ("/admin/tasks/scheduledtask/add/", 403, "You may not do that"),
        ("/failing/", 500, "Something went wrong here"),
    ],
)
def test_what_is_refused_or_fails_is_said_in_the_same_look(
    client: Client, address: str, status: int, title: str
):
    client.force_login(staff())
    client.raise_request_exception = False
    response = client.get(address)
    text = response.content.decode()
    assert response.status_code == status
    assert f"<h1>{title}</h1>" in text
    assert "project/site.css" in text


def test_a_form_that_is_out_of_date_is_refused_in_the_same_look(admin_user: User):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    response = client.post(reverse("set_language"), {"language": "ko"})
    assert response.status_code == 403
    assert "<h1>This form is out of date</h1>" in response.content.decode()


def test_whoever_has_logged_out_is_told_so_once_in_the_same_look(admin_client: Client):
    text = admin_client.post(reverse("admin:logout")).content.decode()
    assert text.count("<h1>Logged out</h1>") == text.count("project/site.css") == 1
    assert reverse("admin:login") in text


def test_the_page_of_an_app_has_the_bar_with_the_breadcrumbs(admin_client: Client):
    text = admin_client.get(reverse("admin:app_list", args=["tasks"])).content.decode()
    assert '<div class="site-crumbs">' in text


def test_the_header_names_the_zone_in_which_all_pages_show_times(admin_client: Client):
    admin_client.cookies["schedule_ledger_zone"] = "Asia/Seoul"
    assert "Asia/Seoul" in text_of(admin_client.get(INDEX))
    assert "Asia/Seoul" in text_of(admin_client.get(reverse("admin:auth_user_add")))


@pytest.mark.parametrize("way", ["list", "page", "tags"])
def test_a_page_that_asks_asks_again_in_the_language_that_is_switched_to(
    admin_client: Client, way: str
):
    schedule, tag = make_row(), Tag.objects.create(name="shop")
    posted = {
        "list": (SCHEDULES, {"action": "pause", "_selected_action": schedule.pk}),
        "page": (reverse("admin:tasks_scheduledtask_act", args=[schedule.pk, "pause"]), {}),
        "tags": (
            reverse("admin:tasks_tag_changelist"),
            {"action": "delete_selected", "_selected_action": tag.pk},
        ),
    }
    page, data = posted[way]
    asked = admin_client.post(page, data).content.decode()
    form = asked.partition('action="/language/"')[2].partition("</form>")[0]
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) | {"language": "ko"}
    again: Any = admin_client.post(reverse("set_language"), sent, follow=True)
    assert again.redirect_chain == [(page, 307)]
    assert '<html lang="ko"' in again.content.decode()
    assert again.templates[0].name == admin_client.post(page, data).templates[0].name
    assert "confirmed" not in sent
    schedule.refresh_from_db()
    assert (schedule.status, Tag.objects.count()) == ("running", 1)


def test_the_language_is_switched_in_the_header_and_remembered(admin_client: Client):
    assert '<button name="language" value="ko" lang="ko">한국어' in (
        admin_client.get(INDEX).content.decode()
    )
    response = admin_client.post(reverse("set_language"), {"language": "ko", "next": INDEX})
    assert response["Location"] == INDEX
    assert '<html lang="ko"' in admin_client.get(INDEX).content.decode()


def test_the_browsers_language_is_taken_until_somebody_chooses(client: Client):
    text = client.get(LOGIN, headers={"accept-language": "ko"}).content.decode()
    assert '<html lang="ko"' in text
    text = client.get(LOGIN, headers={"accept-language": "de"}).content.decode()
    assert '<html lang="en' in text
