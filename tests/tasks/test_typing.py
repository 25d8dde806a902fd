"""What a type checker knows about the decorated functions of somebody who uses the package."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import BASE_DIR

# Nothing of this project's configuration: no plugin, and the strictest checks.
MYPY = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]

MODULE = """\
from tasks.decorators import background_task, scheduled_task
from tasks.services import SchedulerService, TaskService


@scheduled_task
def bare(number: int, *, text: str = "") -> list[str]:
    return [text] * number


@scheduled_task(timeout=3)
def with_options(number: int) -> str:
    return str(number)


@background_task
def background(number: int) -> float:
    return number / 2


@background_task(queue="low")
@scheduled_task
def stacked(text: str, number: int = 1) -> bytes:
    return text.encode() * number


@background_task
@scheduled_task(timeout=3)
async def coroutine(number: int) -> str:
    return str(number)
"""


def check(directory: Path, code: str) -> list[str]:
    """Return what mypy says about these lines below `MODULE`."""
    (directory / "shop.py").write_text(f"{MODULE}\n\n{code}\n")
    checked = subprocess.run(
        [*MYPY, "--cache-dir", str(directory.parent / "mypy"), "--no-error-summary", "shop.py"],
        cwd=directory,
        env={"MYPYPATH": str(BASE_DIR)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not checked.stderr
    return [line.split(": ", 2)[-1] for line in checked.stdout.splitlines()]


# mypy is quick from the second call on: the first one reads Django's stubs into the cache.
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("bare", "def (number: int, *, text: str =) -> list[str]"),
        ("with_options", "def (number: int) -> str"),
        ("background", "def (number: int) -> float"),
        ("stacked", "def (text: str, number: int =) -> bytes"),
        ("coroutine", "def (number: int) -> typing.Coroutine[Any, Any, str]"),
    ],
)
def test_a_decorated_function_keeps_its_signature_for_type_checkers(
    tmp_path: Path, expression: str, expected: str
):
    assert check(tmp_path, f"reveal_type({expression})") == [f'Revealed type is "{expected}"']


@pytest.mark.parametrize(
    "call", ['bare("one")', "with_options()", "stacked(1)", 'coroutine("one")', "bare(1, txt='')"]
)
def test_a_wrong_argument_of_a_decorated_function_is_a_type_error(tmp_path: Path, call: str):
    [error] = check(tmp_path, f"result = {call}")
    assert call.partition("(")[0] in error


@pytest.mark.parametrize("name", ["background", "stacked", "coroutine"])
def test_a_background_function_can_be_given_to_the_service_by_its_type(tmp_path: Path, name: str):
    code = f"TaskService.enqueue_task({name}, 1)\nTaskService.reserve_task(TIME, {name}, 1)"
    assert check(tmp_path, f"from datetime import timedelta\nTIME = timedelta(1)\n{code}") == []


@pytest.mark.parametrize("name", ["bare", "with_options", "stacked", "coroutine"])
def test_a_scheduled_function_can_be_given_to_the_service_by_its_type(tmp_path: Path, name: str):
    code = f'SchedulerService.cron("@daily", {name}, args=[1])'
    assert check(tmp_path, code) == []
