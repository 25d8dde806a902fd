"""What the tests of this room share."""

import pytest

from tasks import registry
from tasks.decorators import background_task, scheduled_task
from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.registry import Kind, TaskFunction
from tests.tasks import functions


def test_a_function_is_found_by_its_name():
    assert registry.get(functions.ECHO).func is functions.echo


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UnknownTaskFunction, match=r"“os.system”.*tests.only_scheduled"):
        registry.get("os.system")


def test_a_function_in_a_module_named_tasks_is_named_after_its_app():
    def fetch() -> None: ...

    fetch.__module__ = "feeds.tasks"
    assert registry.default_name(fetch) == "feeds.fetch"


def test_a_plain_function_is_not_a_task_function():
    with pytest.raises(UnknownTaskFunction, match="decorate it with @scheduled_task"):
        registry.resolve(len, Kind.SCHEDULED)


def test_a_function_is_refused_for_the_other_kind_of_use():
    with pytest.raises(UnknownTaskFunction, match="@background_task too"):
        registry.resolve(functions.only_scheduled, Kind.BACKGROUND)


def test_both_decorators_add_up():
    assert registry.get(functions.ECHO).kinds == {Kind.SCHEDULED, Kind.BACKGROUND}


def test_two_functions_of_one_name_are_a_programming_error():
    other = TaskFunction(functions.ECHO, functions.later, frozenset(), "default", None)
    with pytest.raises(ValueError, match="give one a name="):
        registry.register(other)


def test_names_are_those_of_one_kind():
    assert "tests.only_background" in registry.names(Kind.BACKGROUND)
    assert "tests.only_background" not in registry.names(Kind.SCHEDULED)


def test_the_summary_is_the_first_line_of_the_docstring():
    assert registry.get(functions.ECHO).summary == "Return what it was given."


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([], {}),
        (["not", "two"], {}),
        ([1], {"unknown": 2}),
        ((1,), {}),
        ([1], [2]),
        ([1], {2: 3}),
        ([float("nan")], {}),
        ([object()], {}),
        ([1], {"text": "a\0b"}),
        ([1], {"text": "\ud800"}),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: object, kwargs: object):
    with pytest.raises(InvalidArguments):
        registry.get("tests.only_scheduled").check_arguments(args, kwargs)


def test_arguments_nested_too_deeply_are_refused():
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidArguments):
        registry.get(functions.ECHO).check_arguments(nested, {})


def test_arguments_that_fit_are_accepted():
    registry.get("tests.only_scheduled").check_arguments([1], {"text": "é\n"})


def test_the_text_of_an_escape_is_no_nul():
    registry.get(functions.ECHO).check_arguments([r"C:\u0000x"], {})
    with pytest.raises(InvalidArguments):
        registry.get(functions.ECHO).check_arguments(["C:\0x"], {})


def test_arguments_have_a_depth():
    deep: list[object] = []
    for _ in range(60):
        deep = [deep]
    with pytest.raises(InvalidArguments, match="nested"):
        registry.get(functions.ECHO).check_arguments(deep, {})


def test_a_function_says_once_for_both_its_uses_whether_its_runs_are_isolated():
    @background_task
    @scheduled_task(name="tests.apart", isolated=True)
    def apart() -> None: ...

    assert registry.is_isolated("tests.apart") is True
    assert registry.is_isolated("tests.only_scheduled") is None
    assert registry.is_isolated("not.registered") is None
    del registry._functions["tests.apart"]
