"""What the tests of this room share."""

from datetime import date
from typing import Any

import pytest

from tasks import registry
from tasks.decorators import background_task, scheduled_task
from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.registry import Kind, TaskFunction
from tests.tasks import functions


def test_a_function_is_found_by_its_name():
    assert registry.get(functions.ECHO).func is functions.echo


def test_a_function_is_found_by_its_path():
    function = registry.get("tests.tasks.functions.only_scheduled")
    assert function is registry.get("tests.only_scheduled")


def test_a_name_that_is_the_path_of_another_function_is_a_programming_error():
    other = TaskFunction(
        "tests.tasks.functions.only_scheduled", functions.later, frozenset(), "default", None
    )
    with pytest.raises(ValueError, match="give one a name="):
        registry.register(other)


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
        registry.get("tests.only_scheduled").store_arguments(args, kwargs)


def test_arguments_nested_too_deeply_are_refused():
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(InvalidArguments):
        registry.get(functions.ECHO).store_arguments(nested, {})


def test_arguments_that_fit_are_accepted():
    registry.get("tests.only_scheduled").store_arguments([1], {"text": "é\n"})


def test_the_text_of_an_escape_is_no_nul():
    registry.get(functions.ECHO).store_arguments([r"C:\u0000x"], {})
    with pytest.raises(InvalidArguments):
        registry.get(functions.ECHO).store_arguments(["C:\0x"], {})


def test_arguments_have_a_depth():
    deep: list[object] = []
    for _ in range(60):
        deep = [deep]
    with pytest.raises(InvalidArguments, match="nested"):
        registry.get(functions.ECHO).store_arguments(deep, {})


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


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after the test what it registers."""
    monkeypatch.setattr(registry, "_functions", dict(registry._functions))
    monkeypatch.setattr(registry, "_aliases", dict(registry._aliases))
    monkeypatch.setattr(registry, "_names", dict(registry._names))


def named(name: str, func: Any, *aliases: str) -> TaskFunction:
    return TaskFunction(name, func, frozenset(), "default", None, aliases=frozenset(aliases))


def test_a_function_is_found_by_the_names_that_it_had_before():
    for alias in ("tests.report", "tests.daily_report"):
        assert registry.get(alias) is registry.get(functions.REPORT)
        assert registry.present_name(alias) == functions.REPORT
        assert alias not in registry.names(Kind.SCHEDULED)
    assert registry.resolve("tests.report", Kind.BACKGROUND).name == functions.REPORT


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("name", "aliases"),
    [
        ("tests.new", ["tests.report"]),
        ("tests.new", [functions.ECHO]),
        ("tests.new", ["tests.new"]),
        ("tests.report", []),
    ],
)
def test_a_name_that_would_stand_for_two_functions_is_a_programming_error(
    name: str, aliases: list[str]
):
    with pytest.raises(ValueError, match=r"alias"):
        registry.register(named(name, len, *aliases))


@pytest.mark.usefixtures("own_registry")
def test_a_function_may_be_registered_again_with_its_aliases():
    registry.register(named(functions.REPORT, functions.report, "tests.report", "tests.third"))
    assert registry.get("tests.third").aliases == {
        "tests.report",
        "tests.daily_report",
        "tests.third",
    }


def test_one_text_is_no_list_of_aliases():
    with pytest.raises(TypeError, match="give a list"):
        scheduled_task(aliases="tests.old")(len)


def test_arguments_are_stored_as_json_and_turned_back():
    function = registry.get(functions.REPORT)
    stored = function.store_arguments([date(2026, 1, 31)], {"factor": 2})
    assert stored == (["2026-01-31"], {"factor": 2.0})
    assert function.load_arguments(*stored) == ([date(2026, 1, 31)], {"factor": 2.0})


def test_an_argument_of_another_type_is_refused_by_its_name():
    with pytest.raises(InvalidArguments, match="“number” must be a whole number, not 'abc'"):
        registry.get("tests.only_scheduled").store_arguments(["abc"], {})


@pytest.mark.usefixtures("own_registry")
def test_a_function_says_once_for_both_its_uses_whether_its_runs_are_isolated():
    @background_task
    @scheduled_task(name="tests.apart", isolated=True)
    def apart() -> None: ...

    assert registry.is_isolated("tests.apart") is True
    assert registry.is_isolated("tests.only_scheduled") is None
    assert registry.is_isolated("not.registered") is None


@pytest.mark.parametrize(
    ("parameter", "options"),
    [("account", {"secret": frozenset({"account"})}), ("api_token", {})],
)
def test_an_error_about_a_secret_argument_does_not_show_it(parameter: str, options: Any):
    scope: dict[str, Any] = {}
    exec(f"def take({parameter}: int) -> None: ...", scope)
    function = TaskFunction("x", scope["take"], frozenset(), "default", None, **options)
    for args, kwargs in ((["hunter2" * 40], {}), ([], {parameter: "hunter2"})):
        with pytest.raises(InvalidArguments) as caught:
            function.store_arguments(args, kwargs)
        assert "hunter" not in str(caught.value)
        assert parameter in str(caught.value)


@pytest.mark.usefixtures("own_registry")
def test_a_coroutine_function_cannot_be_isolated():
    async def together() -> None: ...

    with pytest.raises(ValueError, match="can't be isolated"):
        scheduled_task(name="tests.together", isolated=True)(together)


def test_whether_runs_are_isolated_is_known_by_alias_and_path_too():
    @scheduled_task(name="tests.now", aliases=["tests.before"], isolated=True)
    def apart() -> None: ...

    path = registry.get("tests.now").path
    assert [registry.is_isolated(name) for name in ("tests.before", path)] == [True, True]
