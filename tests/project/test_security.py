"""What the site sends and refuses to keep attackers out."""

from datetime import timedelta
from pathlib import Path

import pytest
from axes.models import AccessAttempt
from django.conf import LazySettings, settings
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from project.client_address import client_address

pytestmark = pytest.mark.django_db

LOGIN = reverse("admin:login")
ROOT = Path(__file__).resolve().parents[2]


def policy_of(response: HttpResponse) -> dict[str, list[str]]:
    directives = [part.split() for part in response["Content-Security-Policy"].split(";") if part]
    return {name: sources for name, *sources in directives}


@pytest.mark.parametrize("page", ["admin:index", "admin:tasks_scheduledtask_changelist"])
def test_nothing_inline_and_no_other_host_is_allowed(admin_client: Client, page: str):
    policy = policy_of(admin_client.get(reverse(page)))
    assert policy.pop("img-src") == ["'self'", "data:"]
    assert policy["default-src"] == ["'none'"]
    assert {source for sources in policy.values() for source in sources} == {"'self'", "'none'"}


def test_only_the_pages_of_django_rq_may_have_inline_scripts(admin_client: Client):
    policy = policy_of(admin_client.get(reverse("admin:django_rq_home")))
    assert policy["script-src"] == ["'self'", "'unsafe-inline'"]
    assert policy["default-src"] == ["'none'"]


def test_our_templates_have_nothing_inline():
    pages = [path for app in ("tasks", "feeds", "project") for path in (ROOT / app).rglob("*.html")]
    assert len(pages) > 10
    for path in pages:
        text = path.read_text()
        for inline in ("<script>", "<style", " style=", " onclick=", " onchange=", " onsubmit="):
            assert inline not in text, path


# Guessed passwords


@pytest.fixture
def user() -> User:
    return User.objects.create_superuser("grace", password="right")


def log_in(client: Client, password: str, address: str = "192.0.2.1") -> int:
    data = {"username": "grace", "password": password}
    return client.post(LOGIN, data, REMOTE_ADDR=address).status_code


def lock_out(client: Client) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        log_in(client, "wrong")


def test_after_too_many_wrong_passwords_the_right_one_is_refused_from_there(
    client: Client, user: User
):
    lock_out(client)
    response = client.post(
        LOGIN, {"username": "grace", "password": "right"}, REMOTE_ADDR="192.0.2.1"
    )
    assert response.status_code == 429
    assert "Too many attempts" in response.content.decode()


def test_a_user_that_is_locked_from_one_address_can_log_in_from_another(client: Client, user: User):
    lock_out(client)
    assert log_in(client, "right", "192.0.2.2") == 302


def test_others_can_log_in_from_an_address_from_which_one_user_is_locked(
    client: Client, user: User
):
    lock_out(client)
    User.objects.create_superuser("ada", password="right")
    data = {"username": "ada", "password": "right"}
    assert client.post(LOGIN, data, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_a_locked_user_can_log_in_again_after_a_while(client: Client, user: User):
    lock_out(client)
    long_ago = timezone.now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1)
    AccessAttempt.objects.update(attempt_time=long_ago)
    assert log_in(client, "right") == 302


@pytest.mark.parametrize(
    ("is_behind_proxy", "forwarded", "expected"),
    [
        (False, "198.51.100.7", "192.0.2.1"),
        (True, "198.51.100.7", "198.51.100.7"),
        (True, "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (True, "198.51.100.7:55", "198.51.100.7"),
        (True, "2001:DB8::1", "2001:db8::1"),
        (True, "[2001:db8::1]:443", "2001:db8::1"),
        (True, "[2001:db8::1]", "2001:db8::1"),
        (True, "unknown", "192.0.2.1"),
        (True, "x" * 300, "192.0.2.1"),
        (True, "", "192.0.2.1"),
    ],
)
def test_only_what_the_proxy_says_of_an_address_is_believed(
    settings: LazySettings, rf: RequestFactory, is_behind_proxy: bool, forwarded: str, expected: str
):
    settings.SECURE_SSL = is_behind_proxy
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    assert client_address(rf.get("/", REMOTE_ADDR="192.0.2.1", **headers)) == expected


def test_the_log_says_from_which_address_somebody_was_locked_out_and_not_what_was_typed(
    client: Client, user: User, caplog: pytest.LogCaptureFixture
):
    lock_out(client)
    lines = [line.getMessage() for line in caplog.records if "Locking out" in line.getMessage()]
    assert lines
    assert all("192.0.2.1" in line and "grace" not in line for line in lines)
