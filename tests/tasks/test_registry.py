"""What the tests of this room share."""

import pytest

from tasks import registry
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


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "shown"),
    [
        (functions.LOG_IN, ["1", "2"], {}, (["•••", "•••"], {})),
        (functions.LOG_IN, [], {"pin": "1", "where": [1]}, ([], {"pin": "•••", "where": [1]})),
        (functions.ECHO, ["1"], {"pin": "1", "token": 7}, (["1"], {"pin": "1", "token": "•••"})),
        ("gone.away", ["1"], {"api_key": "1"}, (["1"], {"api_key": "•••"})),
        (functions.LOG_IN, {"token": "1"}, {}, ({"token": "•••"}, {})),
    ],
)
def test_secret_arguments_are_masked_by_the_names_of_their_parameters(name, args, kwargs, shown):
    assert registry.masked_arguments(name, args, kwargs) == shown


def test_the_secret_arguments_of_a_call_are_known():
    found = registry.secret_values(functions.LOG_IN, ["1"], {"where": {"token": "2"}, "n": 3})
    assert found == ["1", "2"]


def test_a_secret_default_is_not_shown():
    def connect(host: str, password: str = "hunter2", *, pin: str = "1234") -> None: ...

    function = TaskFunction("x", connect, frozenset(), "default", None, secret=frozenset({"pin"}))
    assert "hunter2" not in str(function.shown_signature)
    assert "1234" not in str(function.shown_signature)
    with pytest.raises(InvalidArguments) as caught:
        function.check_arguments([], {})
    assert "hunter2" not in str(caught.value)
