"""What `manage.py up` prints; `tests/acceptance/test_up.py` runs it."""

import shlex
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from project import instance, valkey
from project.management.commands.up import Command, typed
from project.screen import Screen
from tasks.exceptions import TasksError
from tasks.management.columns import width
from tests.servers import BASE_DIR


@pytest.fixture(autouse=True)
def translated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Translate each text that is marked for it into other, wider letters.

    Django's own function is replaced: modules have imported the one that calls it already.
    """

    def translate(message: str) -> str:
        return f"한국어 {message}"

    monkeypatch.setattr("django.utils.translation._trans.gettext", translate)


# Its private methods are called here: the command as a whole would run a system in this process.
def command() -> Any:
    up: Any = Command(stdout=StringIO())
    up.screen = Screen(StringIO())
    up.address = "http://127.0.0.1:8000"
    return up


@pytest.mark.django_db
def test_up_announces_its_address_in_a_frame_in_the_language_of_the_site():
    up = command()
    up._announce()
    top, *lines, bottom = up.screen._output.getvalue().splitlines()
    assert [line[:6] for line in lines[:3]] == ["| 한국어 "[:6]] * 3
    assert all(width(line) == len(top) == len(bottom) for line in lines)


@pytest.mark.django_db
def test_up_names_a_command_for_another_password_that_works_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(BASE_DIR)
    up = command()
    up._announce()
    line = up.screen._output.getvalue().splitlines()[-2].strip("| ")
    python, *rest = shlex.split(line)
    assert Path(python).samefile(sys.executable)
    assert rest == ["manage.py", "changepassword", "admin"]


def test_a_command_is_named_by_the_shortest_paths_that_work_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    inside, outside = str(tmp_path / "a b" / "python"), str(tmp_path.parent / "manage.py")
    assert typed([inside, outside, "check"]) == f"'a b/python' {outside} check"


@pytest.mark.parametrize(
    "check",
    [
        lambda tmp_path: command()._check(workers=0),
        lambda tmp_path: instance.check_port(-1),
        lambda tmp_path: valkey.check_socket_path(tmp_path / ("x" * 100)),
    ],
    ids=["workers", "port", "socket"],
)
def test_up_reports_mistakes_in_the_language_of_the_site(tmp_path: Path, check: Any):
    with pytest.raises((CommandError, TasksError), match=r"^한국어 "):
        check(tmp_path)


def test_up_refuses_an_invalid_feed_by_the_name_of_the_setting(settings: Any):
    settings.FEEDS = ["nonsense"]
    with pytest.raises(CommandError, match=r"FEEDS: .*nonsense"):
        command()._check(workers=1)
