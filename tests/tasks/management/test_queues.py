"""The commands that take names of queues check them."""

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.parametrize(
    "arguments",
    [["rqworker", "nosuch"], ["rqworker", "high", "nosuch"], ["rqscheduler", "--queue", "nosuch"]],
    ids=" ".join,
)
def test_an_unknown_queue_is_refused_and_the_known_ones_are_named(tmp_path, arguments):
    pid = tmp_path / "pid"
    with pytest.raises(CommandError) as caught:
        call_command(*arguments, "--pid", str(pid))
    text = "There is no queue “nosuch”. The queues are: high, default, low."
    assert str(caught.value) == text
    assert not pid.exists()
