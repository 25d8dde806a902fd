"""What projects import and name in their settings stays where it is."""

import pytest
from django.utils.module_loading import import_string

from tasks.scheduler.process import Scheduler
from tasks.worker.process import Worker


@pytest.mark.parametrize(
    "path",
    [
        "tasks.admin.ScheduledTaskAdmin",
        "tasks.address_guard.AddressGuard",
        "tasks.decorators.NotAtAll",
        "tasks.decorators.NotNow",
        "tasks.decorators.background_task",
        "tasks.decorators.scheduled_task",
        "tasks.exceptions.TasksError",
        "tasks.job.Job",
        "tasks.models.Calendar",
        "tasks.models.ScheduledTask",
        "tasks.models.ScheduledTaskInstance",
        "tasks.models.Task",
        "tasks.progress",
        "tasks.queue.Queue",
        "tasks.services.CalendarService",
        "tasks.services.SchedulerService",
        "tasks.services.TaskService",
    ],
)
def test_a_public_name_can_be_imported_by_its_path(path: str):
    assert callable(import_string(path))


def test_the_rooms_of_scheduler_and_worker_hand_on_their_classes():
    assert import_string("tasks.scheduler.Scheduler") is Scheduler
    assert import_string("tasks.worker.Worker") is Worker
