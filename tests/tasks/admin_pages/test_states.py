"""States as symbol and word and colour."""

import re
from pathlib import Path

import pytest

from tasks.admin_pages.states import LOOKS, badge, icon, record_badge, state_of
from tasks.models import ScheduledTask, ScheduledTaskInstance, SchedulePeriod, Task
from tests.tasks.schedules import make_row, make_run

APP = Path(__file__).resolve().parents[3] / "tasks"
SPRITE = (APP / "templates/admin/tasks/icons.html").read_text()
STYLES = (APP / "static/tasks/admin.css").read_text()
STATUSES = [
    *ScheduledTaskInstance.Status.values,
    *Task.Status.values,
    *ScheduledTask.Status.values,
    *SchedulePeriod.Kind.values,
]


@pytest.mark.parametrize("status", sorted(set(STATUSES)))
def test_each_status_has_a_look(status: str):
    assert status in LOOKS


@pytest.mark.parametrize("state", LOOKS)
def test_each_look_is_in_the_sprite_and_in_the_stylesheet(state: str):
    look = LOOKS[state]
    assert f'id="sl-icon-{look.icon}"' in SPRITE
    assert re.search(rf"\.is-{look.colours}\b", STYLES)


def test_a_state_is_said_in_words_beside_its_symbol():
    shown = badge("failed", "failed")
    assert icon("failed") in shown
    assert shown.endswith("failed</span>")


@pytest.mark.django_db
def test_an_active_schedule_does_not_look_like_a_run_that_goes_on():
    schedule = make_row()
    assert schedule.status == "running"
    assert state_of(schedule) == "active"
    assert state_of(make_run(schedule, status="running")) == "running"
    assert "is-running" not in record_badge(schedule)
