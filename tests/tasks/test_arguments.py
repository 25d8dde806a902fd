"""Each type of argument: stored as JSON, turned back, and refused if it is another one's."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional
from uuid import UUID

import pytest
from django.contrib.auth.models import AbstractUser, User
from django.db import models
from django.test.utils import isolate_apps
from hypothesis import given
from hypothesis import strategies as st

from tasks.argument_types import ANY, Gone, Unfit, argument_type
from tasks.arguments import arguments_of
from tasks.exceptions import InvalidArguments
from tasks.models import Calendar

if TYPE_CHECKING:
    from somewhere import Missing  # type: ignore[import-not-found]


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Shape(Enum):
    ROUND = (1, 1)
    FLAT = (2, 1)


class Access(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5


@dataclass
class Tree:
    """Nodes with times."""

    at: datetime
    kind: Colour | None = None
    children: list["Tree"] = field(default_factory=list)
    depth: int = field(init=False, default=0)


Number = NewType("Number", int)
KEY = UUID("2f1e4fc0-81fd-41da-9d4e-5b1a3d3a4b5c")
BERLIN = timezone(timedelta(hours=2))

# A hint, a value, and its JSON.
STORED = [
    (str, "é", "é"),
    (str, Colour.RED, "red"),
    (int, 5, 5),
    (int, Level.HIGH, 2),
    (float, 1.5, 1.5),
    (float, 2, 2.0),
    (bool, True, True),
    (date, date(2026, 1, 31), "2026-01-31"),
    (date, "20260131", "2026-01-31"),
    (datetime, datetime(2026, 1, 31, 6, tzinfo=BERLIN), "2026-01-31T04:00:00+00:00"),
    (datetime, "2026-01-31T06:00+02:00", "2026-01-31T04:00:00+00:00"),
    (datetime, "2026-01-31T04:00:00Z", "2026-01-31T04:00:00+00:00"),
    (timedelta, timedelta(minutes=15), "P0DT00H15M00S"),
    (timedelta, "PT15M", "P0DT00H15M00S"),
    (timedelta, "00:15:00", "P0DT00H15M00S"),
    (Decimal, Decimal("12.50"), "12.50"),
    (Decimal, 12, "12"),
    (Decimal, 0.1, "0.1"),
    (UUID, KEY, str(KEY)),
    (UUID, str(KEY).upper(), str(KEY)),
    (Colour, Colour.RED, "red"),
    (Colour, "red", "red"),
    (Level, Level.HIGH, 2),
    (Level, 2, 2),
    (Shape, Shape.FLAT, "FLAT"),
    (Literal["a", 1], "a", "a"),
    (Literal["a", 1, None], None, None),
    (list[date], (date(2026, 1, 31),), ["2026-01-31"]),
    (list, [1, "a"], [1, "a"]),
    (dict[str, Decimal], {"a": Decimal("1.0")}, {"a": "1.0"}),
    (dict[date, int], {date(2026, 1, 31): 1}, {"2026-01-31": 1}),
    (dict[int, int], {5: 6}, {"5": 6}),
    (dict[int, int], {"5": 6}, {"5": 6}),
    (dict, {"a": 1, 2: 3}, {"a": 1, "2": 3}),
    (Point, Point(1), {"x": 1, "y": 0.5}),
    (Point, {"x": 1}, {"x": 1}),
    (int | None, None, None),
    (Optional[date], date(2026, 1, 31), "2026-01-31"),  # noqa: UP045
    (Annotated[int, "in metres"], 5, 5),
    (Number, 5, 5),
]


@pytest.mark.parametrize(("hint", "value", "stored"), STORED)
def test_a_value_of_each_type_is_stored_as_json(hint: Any, value: Any, stored: Any):
    result = argument_type(hint_of(hint)).store(value)
    assert (result, json.dumps(result)) == (stored, json.dumps(stored))


@pytest.mark.parametrize(("hint", "value", "stored"), STORED)
def test_what_is_stored_is_in_its_final_form(hint: Any, value: Any, stored: Any):
    assert json.dumps(argument_type(hint_of(hint)).store(stored)) == json.dumps(stored)


def hint_of(hint: Any) -> Any:
    """Return a hint as a function's parameter has it."""

    def function(parameter: hint) -> None: ...

    from typing import get_type_hints

    return get_type_hints(function)["parameter"]


REFUSED = [
    (str, 5),
    (str, None),
    (int, "abc"),
    (int, "5"),
    (int, True),
    (int, 5.0),
    (float, "1.5"),
    (float, False),
    (float, float("inf")),
    (float, 10**400),
    (bool, 1),
    (bool, "true"),
    (date, "soon"),
    (date, "2026-02-30"),
    (date, datetime(2026, 1, 31, tzinfo=UTC)),
    (date, 20260131),
    (datetime, datetime(2026, 1, 31)),
    (datetime, "2026-01-31T06:00:00"),
    (datetime, "2026-01-31"),
    (datetime, date(2026, 1, 31)),
    (datetime, datetime.min.replace(tzinfo=BERLIN)),
    (timedelta, "long"),
    (timedelta, 15),
    (timedelta, "P9999999999999D"),
    (Decimal, "twelve"),
    (Decimal, "NaN"),
    (Decimal, True),
    (UUID, "2f1e4fc0"),
    (UUID, 5),
    (Colour, "blue"),
    (Colour, Level.LOW),
    (Level, True),
    (Level, "LOW"),
    (Shape, "OVAL"),
    (Literal["a", 1], True),
    (Literal["a", 1], "1"),
    (list[int], "123"),
    (list[int], [1, "b"]),
    (list[int], {1: 2}),
    (dict[str, int], [1]),
    (dict[str, int], {"a": "b"}),
    (dict[str, int], {1: 2}),
    (dict[date, int], {"soon": 2}),
    (dict, {(1, 2): 3}),
    (Point, {"y": 1.0}),
    (Point, {"x": 1, "z": 2}),
    (Point, {"x": "a"}),
    (Point, [1]),
    (Tree, {"at": "2026-01-31T06:00Z", "depth": 5}),
    (int | None, "abc"),
]


@pytest.mark.parametrize(("hint", "value"), REFUSED)
def test_a_value_of_another_type_is_refused(hint: Any, value: Any):
    with pytest.raises(Unfit):
        argument_type(hint).store(value)


scalars = {
    str: st.text(),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    date: st.dates(),
    # With fixed offsets: in an hour that a zone repeats, Python calls equal times different.
    datetime: st.datetimes(
        min_value=datetime(2, 1, 1),
        max_value=datetime(9998, 1, 1),
        timezones=st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
    timedelta: st.timedeltas(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    UUID: st.uuids(),
    Colour: st.sampled_from(Colour),
    Level: st.sampled_from(Level),
    Shape: st.sampled_from(Shape),
    Literal["a", 1, False]: st.sampled_from(["a", 1, False]),
}
trees = st.recursive(
    st.builds(Tree, scalars[datetime], st.none() | scalars[Colour]),
    lambda children: st.builds(Tree, scalars[datetime], children=st.lists(children, max_size=3)),
    max_leaves=5,
)


@st.composite
def values(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return a hint of the table and a value of its type."""
    hint: Any = draw(st.sampled_from([*scalars]))
    key: Any = draw(st.sampled_from([str, int, date, datetime, UUID, Colour, Level]))
    of: Any = scalars[hint]
    options = {
        hint: of,
        hint | None if hint in (str, int, date) else Optional[hint]: st.none() | of,  # noqa: UP045
        list[hint]: st.lists(of),
        dict[key, list[hint]]: st.dictionaries(scalars[key], st.lists(of)),
        Point: st.builds(Point, scalars[int], scalars[float]),
        Tree: trees,
    }
    chosen = draw(st.sampled_from([*options]))
    return chosen, draw(options[chosen])


@given(values())
def test_any_value_comes_back_from_json_as_it_was(drawn: tuple[Any, Any]):
    hint, value = drawn
    of = argument_type(hint)
    stored = of.store(value)
    text = json.dumps(stored)
    assert json.dumps(of.store(json.loads(text))) == text
    loaded = of.load(json.loads(text))
    assert (loaded, type(loaded)) == (value, type(value))


@pytest.mark.parametrize(
    "hint",
    [Any, object, bytes, Access, int | str, set[int], tuple[int, ...], Literal[b"a"], AbstractUser],
    ids=str,
)
def test_a_hint_that_is_not_in_the_table_means_json_as_it_is(hint: Any):
    assert argument_type(hint) is ANY


@isolate_apps("tasks")
def test_a_model_with_a_key_of_several_columns_is_not_in_the_table():
    class Pair(models.Model):  # noqa: DJ008
        pk = models.CompositePrimaryKey("left", "right")
        left = models.IntegerField()
        right = models.IntegerField()

        class Meta:
            app_label = "tasks"

    assert argument_type(Pair) is ANY


def take(
    number: int,
    *rest: date,
    text: str = None,  # type: ignore[assignment]  # noqa: RUF013
    **others: Decimal,
) -> None: ...


def test_each_argument_is_stored_and_turned_back_by_the_hint_of_its_parameter():
    stored = arguments_of(take).store([1, date(2026, 1, 31)], {"number": 2, "other": Decimal(3)})
    assert stored == ([1, "2026-01-31"], {"number": 2, "other": "3"})
    loaded = arguments_of(take).load(*stored)
    assert loaded == ([1, date(2026, 1, 31)], {"number": 2, "other": Decimal(3)})


def test_none_is_accepted_where_it_is_the_default():
    assert arguments_of(take).store([1], {"text": None}) == ([1], {"text": None})


def only_by_position(rest: int, /, **others: str) -> None: ...


def test_a_named_argument_does_not_take_the_type_of_a_positional_parameter_of_its_name():
    assert arguments_of(only_by_position).store([1], {"rest": "a"}) == ([1], {"rest": "a"})


@pytest.mark.parametrize(
    ("args", "kwargs", "message", "at"),
    [
        (["abc"], {}, "“number” must be a whole number, not 'abc'.", "args"),
        ([1, "2026-01-31", "x"], {}, "“rest[1]” must be a date such as 2026-01-31, not", "args"),
        ([1], {"text": 5}, "“text” must be a text, not 5.", "kwargs"),
        ([1], {"more": "x"}, "“more” must be a decimal number such as 12.50, not 'x'.", "kwargs"),
    ],
)
def test_an_argument_of_another_type_is_refused_by_its_name(
    args: Any, kwargs: Any, message: str, at: str
):
    with pytest.raises(InvalidArguments) as caught:
        arguments_of(take).store(args, kwargs)
    assert str(caught.value).startswith(message)
    assert caught.value.field == at


@pytest.mark.parametrize(
    ("hint", "value", "where"),
    [
        (list[list[int]], [[1], [2, "x"]], "[1][1]"),
        (dict[str, Point], {"a": {"x": "b"}}, "['a'].x"),
        (
            Tree,
            {"at": "2026-01-31T06:00Z", "children": [{"at": "2026-01-31T06:00Z"}, {"at": 5}]},
            ".children[1].at",
        ),
    ],
)
def test_what_is_wrong_inside_an_argument_is_said_with_its_place(hint: Any, value: Any, where: str):
    with pytest.raises(Unfit) as caught:
        argument_type(hint).store(value)
    assert caught.value.where == where


def late(day: "Later", number: "int") -> None: ...


class Later(StrEnum):
    MONDAY = "monday"


def test_hints_may_be_texts_and_name_what_is_defined_later():
    assert arguments_of(late).load(["monday", 5], {}) == ([Later.MONDAY, 5], {})
    with pytest.raises(InvalidArguments):
        arguments_of(late).store(["tuesday", 5], {})


def unknown(day: "Missing", number: int) -> None: ...


def test_if_a_hint_cannot_be_evaluated_arguments_are_json_as_they_are():
    arguments = arguments_of(unknown)
    assert arguments.store(["x", "y"], {}) == (["x", "y"], {})
    assert arguments.problem == "NameError: name 'Missing' is not defined"


@pytest.mark.django_db
def test_an_instance_of_a_model_is_stored_by_its_primary_key_and_read_when_it_is_needed():
    calendar = Calendar.objects.create(name="before")
    of = argument_type(Calendar)
    assert of.store(calendar) == of.store(calendar.pk) == of.store(str(calendar.pk)) == calendar.pk
    Calendar.objects.update(name="after")
    loaded = of.load(calendar.pk)
    assert (loaded, loaded.name) == (calendar, "after")


@pytest.mark.django_db
def test_an_instance_that_is_gone_is_named():
    with pytest.raises(Gone) as caught:
        argument_type(Calendar).load(5)
    assert caught.value.about("of", is_secret=False) == "“of”: calendar 5 doesn't exist (any more)."


def test_the_instances_that_stored_arguments_name_are_found_at_any_depth():
    @dataclass
    class Shop:
        calendar: Calendar | None
        size: int = 0

    def func(a: int, *rest: Calendar, shops: list[Shop], **more: dict[str, Calendar]) -> None: ...

    shops = [{"calendar": 3, "size": 7}, {"calendar": None}]
    found = arguments_of(func).instances([1, 2], {"shops": shops, "x": {"y": 4}})
    assert [(one.model, one.key) for one in found] == [(Calendar, 2), (Calendar, 3), (Calendar, 4)]


@pytest.mark.parametrize("value", [Calendar(), Calendar(pk=5), User(pk=5), "x", True, 5.0, None])
def test_what_is_no_stored_instance_of_the_model_is_refused(value: Any):
    with pytest.raises(Unfit, match="a stored calendar or its primary key"):
        argument_type(Calendar).store(value)
