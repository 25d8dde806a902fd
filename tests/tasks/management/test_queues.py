"""The commands that take names of queues."""

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.parametrize(
    "arguments",
    [["rqworker", "nosuch"], ["rqworker", "high", "nosuch"], ["rqscheduler", "--queue", "nosuch"]],
    ids=" ".join,
)
def test_a_queue_that_is_not_there_is_refused_and_the_known_ones_are_named(tmp_path, arguments):
    pid = tmp_path / "pid"
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, "--pid", str(pid))
    text = "There is no queue “nosuch”. The queues are: high, default, low."
    assert str(caught.value) == text
    assert not pid.exists()
