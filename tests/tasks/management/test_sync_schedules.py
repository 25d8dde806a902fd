"""`manage.py sync_schedules` applies the lists that apps declare, and prints the plan as a diff."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from tasks.models import ScheduledTask
from tasks.services import SchedulerService
from tests.tasks.functions import ECHO

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[[str, str], None]


@pytest.fixture
def declare(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Return a function that installs an app with this source as its schedules.py."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(app: str, source: str) -> None:
        folder = tmp_path / app
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "schedules.py").write_text(source)
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, app]

    return install


def run(*args: str) -> str:
    out = StringIO()
    call_command("sync_schedules", *args, stdout=out)
    return out.getvalue()


def entries(*items: str) -> str:
    """Return the source of a list of daily schedules: name, then what else."""
    call = f"'task_func': {ECHO!r}, 'cron_string': '@daily'"
    return f"SCHEDULES = [{', '.join(f'{{{call}, {item}}}' for item in items)}]"


def test_what_apps_declare_is_synced_with_the_app_as_owner(declare: Declare):
    declare("first_shop", entries("'name': 'a'", "'name': 'b'"))
    declare("first_post", entries("'name': 'c'"))
    run()
    rows = ScheduledTask.objects.values_list("name", "list_owner", "status")
    assert set(rows) == {
        ("a", "first_shop", "running"),
        ("b", "first_shop", "running"),
        ("c", "first_post", "running"),
    }


PLAN = f"""\
second_shop:
  + schedule “new”: {ECHO}, At 00:00, every day (UTC)
  ~ schedule “changed”
      description: "" → "why"
      retries: 0 → 3
    schedule “kept”
  - schedule “left”
1 added, 1 changed, 1 cancelled, 1 unchanged."""


def test_the_plan_is_printed_as_a_diff_and_a_dry_run_writes_nothing(declare: Declare):
    for name in ("changed", "kept", "left"):
        SchedulerService.cron("@daily", ECHO, name=name)
    ScheduledTask.objects.update(list_owner="second_shop")
    SchedulerService.cron("@daily", ECHO, name="manual")
    changed = "'name': 'changed', 'retries': 3, 'description': 'why'"
    declare("second_shop", entries("'name': 'new'", changed, "'name': 'kept'"))
    before = list(ScheduledTask.objects.values())
    assert run("--dry-run") == f"{PLAN} Dry run: nothing was written.\n"
    assert list(ScheduledTask.objects.values()) == before
    assert run() == f"{PLAN}\n"
    assert run().endswith("0 added, 0 changed, 0 cancelled, 3 unchanged.\n")
    ended = ScheduledTask.objects.filter(status="death")
    assert list(ended.values_list("name", flat=True)) == ["left"]


def test_all_invalid_entries_are_named_with_their_app_and_nothing_is_changed(declare: Declare):
    declare("third_shop", entries("'name': 'a'", "'name': 'b', 'retries': -1"))
    declare("third_post", entries("'name': 'c', 'queue': 'nowhere'", "'name': 'a'"))
    with pytest.raises(CommandError) as refused:
        run()
    lines = str(refused.value).splitlines()
    assert lines[0].startswith("third_shop.schedules.SCHEDULES, entry 2: ")
    assert lines[1].startswith("third_post.schedules.SCHEDULES, entry 1: There is no queue")
    assert lines[2].startswith("third_post.schedules.SCHEDULES, entry 2: “a” is the same schedule")
    assert "third_shop.schedules.SCHEDULES, entry 1 " in lines[2]
    assert not ScheduledTask.objects.exists()


def test_an_app_that_empties_its_list_cancels_all_that_was_on_it(declare: Declare):
    SchedulerService.cron("@daily", ECHO, name="left")
    ScheduledTask.objects.update(list_owner="fourth_shop")
    declare("fourth_shop", "SCHEDULES = []")
    run()
    assert ScheduledTask.objects.get().status == "death"


def test_a_module_of_that_name_without_a_list_is_none_of_ours(declare: Declare):
    declare("fifth_shop", "HOURS = [7, 19]")
    assert run() == "No app declares a list SCHEDULES in schedules.py.\n"


def test_a_declaration_that_is_not_a_list_is_refused_by_name(declare: Declare):
    declare("sixth_shop", "SCHEDULES = {}")
    with pytest.raises(CommandError, match=r"sixth_shop\.schedules\.SCHEDULES is not a list"):
        run()


def test_the_diff_shows_no_secret(declare: Declare):
    before = """SCHEDULES = [{"cron_string": "0 7 * * *", "task_func": "%s", "note": "%s"}]"""
    declare("shop", before % (ECHO, "see https://h.example/?token=hunter2-one"))
    run()
    row = ScheduledTask.objects.get()
    SchedulerService.update(row, note="see https://h.example/?token=hunter2-two")
    shown = run("--dry-run")
    assert "note: " in shown
    assert "hunter2" not in shown
