"""The types of arguments: how each is stored as JSON, checked, and turned back.

A task function's hints say of which types its arguments are. Whoever schedules or calls it gives
values of these types, or their JSON; jobs and rows hold the JSON; the function gets the values.
The same value has the same JSON, so that it is the same schedule that is asked for again.

    hint                          JSON
    str, int, float, bool         itself
    date                          "2026-01-31"
    datetime                      "2026-01-31T05:30:00+00:00", in UTC; a naive one is refused
    timedelta                     "P0DT00H15M00S"
    Decimal, UUID                 their text
    an Enum                       the member's value; its name, unless all values are texts and ints
    Literal[…]                    the value
    list[…], dict[…, …]           a list; an object, whose keys are texts
    a dataclass                   an object with its fields
    a model                       the primary key of an instance
    … | None                      null, or as without None

Any other hint, or none, means JSON as it is.
"""

import dataclasses
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from functools import cache
from itertools import chain
from types import NoneType, UnionType
from typing import Any, Literal, NewType, Self, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks.masking import is_secret_name, mask_json

# What reading a value of the wrong type or out of range raises.
UNREADABLE = (TypeError, ValueError, ArithmeticError, ValidationError)


class Unfit(Exception):
    """A value that isn't of a type: `wanted`, in words; `where` in an argument, such as `[2]`."""

    def __init__(self, wanted: str, given: Any) -> None:
        super().__init__(wanted, given)
        self.wanted, self.given, self.where = wanted, given, ""

    def about(self, parameter: str, *, is_secret: bool) -> str:
        """Say what is wrong with the argument for this parameter, without a secret value."""
        return _("“%(parameter)s” must be %(wanted)s, not %(given).100r.") % {
            "parameter": f"{parameter}{self.where}",
            "wanted": self.wanted,
            "given": self._shown(parameter, is_secret),
        }

    def _shown(self, parameter: str, is_secret: bool) -> Any:
        is_secret = is_secret or is_secret_name(f"{parameter}{self.where}")
        return mask_json(self.given, is_secret=is_secret)


class Gone(Unfit):
    """A primary key of which there is no row (any more)."""

    def about(self, parameter: str, *, is_secret: bool) -> str:
        """Say which object is gone."""
        return _("“%(parameter)s”: %(wanted)s %(given)s doesn't exist (any more).") % {
            "parameter": f"{parameter}{self.where}",
            "wanted": self.wanted,
            "given": self._shown(parameter, is_secret),
        }


class ArgumentType(ABC):
    """One row of the table. `store` and `load` raise Unfit."""

    @abstractmethod
    def store(self, value: Any) -> Any:
        """Return the JSON of a value, which may be given as JSON already."""

    @abstractmethod
    def load(self, stored: Any) -> Any:
        """Return the value that some JSON stands for."""

    def instances(self, stored: Any) -> Iterator["StoredInstance"]:
        """Yield the instances of models that JSON of this type names."""
        yield from ()


@dataclass(frozen=True)
class AnyJson(ArgumentType):
    """JSON as it is: what takes the place of a hint that isn't in the table."""

    def store(self, value: Any) -> Any:
        return value

    def load(self, stored: Any) -> Any:
        return stored


@dataclass(frozen=True)
class Scalar(ArgumentType):
    """A type whose JSON is a single text, number or truth value.

    `read` takes a value or its JSON and returns the value; it raises one of UNREADABLE. `write`
    returns a value's JSON.
    """

    wanted: str | Promise
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]

    def store(self, value: Any) -> Any:
        try:
            return self.write(self.read(value))
        except UNREADABLE:
            raise Unfit(str(self.wanted), value) from None

    def load(self, stored: Any) -> Any:
        try:
            return self.read(stored)
        except UNREADABLE:
            raise Unfit(str(self.wanted), stored) from None


def _require(is_met: bool) -> None:
    if not is_met:
        raise TypeError


def _read_text(value: Any) -> str:
    _require(isinstance(value, str))
    return str.__str__(value)


def _read_whole_number(value: Any) -> int:
    _require(isinstance(value, int) and not isinstance(value, bool))
    return int(value)


def _read_number(value: Any) -> float:
    _require(isinstance(value, int | float) and not isinstance(value, bool))
    _require(math.isfinite(value))
    return float(value)


def _read_truth_value(value: Any) -> Any:
    _require(isinstance(value, bool))
    return value


def _read_date(value: Any) -> Any:
    if isinstance(value, str):
        return date.fromisoformat(value)
    _require(isinstance(value, date) and not isinstance(value, datetime))
    return value


def _read_time(value: Any) -> datetime:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    _require(isinstance(time, datetime) and time.utcoffset() is not None)
    return time.astimezone(UTC)


def _read_duration(value: Any) -> Any:
    duration = parse_duration(value) if isinstance(value, str) else value
    _require(isinstance(duration, timedelta))
    return duration


def _read_decimal(value: Any) -> Decimal:
    _require(isinstance(value, Decimal | str | int | float) and not isinstance(value, bool))
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    _require(number.is_finite())
    return number


def _read_uuid(value: Any) -> UUID:
    _require(isinstance(value, str | UUID))
    return value if isinstance(value, UUID) else UUID(value)


def _itself(value: Any) -> Any:
    return value


SCALARS: Mapping[Any, Scalar] = {
    str: Scalar(gettext_lazy("a text"), _read_text, _itself),
    int: Scalar(gettext_lazy("a whole number"), _read_whole_number, _itself),
    float: Scalar(gettext_lazy("a number"), _read_number, _itself),
    bool: Scalar(gettext_lazy("true or false"), _read_truth_value, _itself),
    date: Scalar(gettext_lazy("a date such as 2026-01-31"), _read_date, date.isoformat),
    datetime: Scalar(
        gettext_lazy("a time with its time zone, such as 2026-01-31T06:30:00+01:00"),
        _read_time,
        datetime.isoformat,
    ),
    timedelta: Scalar(
        gettext_lazy("a length of time such as PT15M or 00:15:00"),
        _read_duration,
        duration_iso_string,
    ),
    Decimal: Scalar(gettext_lazy("a decimal number such as 12.50"), _read_decimal, str),
    UUID: Scalar(gettext_lazy("a UUID"), _read_uuid, str),
}


@dataclass(frozen=True)
class Choice(ArgumentType):
    """One of some values: of an Enum's members or of a Literal's values.

    `choices` holds each with its JSON.
    """

    choices: Sequence[tuple[Any, Any]]

    @classmethod
    def of_enum(cls, members: type[Enum]) -> Self:
        """Return the choice of an Enum's members, by value if those are texts and whole numbers."""
        by_value = all(type(member.value) in (str, int) for member in members)
        return cls([(member.value if by_value else member.name, member) for member in members])

    def store(self, value: Any) -> Any:
        return self._find(value)[0]

    def load(self, stored: Any) -> Any:
        return self._find(stored)[1]

    def _find(self, wanted: Any) -> tuple[Any, Any]:
        for stored, value in self.choices:
            if any(type(wanted) is type(one) and wanted == one for one in (value, stored)):
                return stored, value
        known = ", ".join(json.dumps(stored, ensure_ascii=False) for stored, _value in self.choices)
        raise Unfit(_("one of %(known)s") % {"known": known}, wanted)


@dataclass(frozen=True)
class OrNone(ArgumentType):
    """A value of a type, or None."""

    type: ArgumentType

    def store(self, value: Any) -> Any:
        return None if value is None else self.type.store(value)

    def load(self, stored: Any) -> Any:
        return None if stored is None else self.type.load(stored)

    def instances(self, stored: Any) -> Iterator["StoredInstance"]:
        return iter(()) if stored is None else self.type.instances(stored)


@dataclass(frozen=True)
class ListOf(ArgumentType):
    """A list of values of one type."""

    item: ArgumentType

    def store(self, value: Any) -> Any:
        return self._each(self.item.store, value)

    def load(self, stored: Any) -> Any:
        return self._each(self.item.load, stored)

    def instances(self, stored: Any) -> Iterator["StoredInstance"]:
        return chain.from_iterable(map(self.item.instances, stored))

    def _each(self, convert: Callable[[Any], Any], values: Any) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise Unfit(_("a list"), values)
        return [_at(f"[{index}]", convert, value) for index, value in enumerate(values)]


@dataclass(frozen=True)
class DictOf(ArgumentType):
    """A dict with keys of one type, any JSON, a scalar or a choice, and values of another.

    In JSON all keys are texts: those of other keys are what `json.dumps` makes of them.
    """

    key: ArgumentType
    value: ArgumentType

    def store(self, value: Any) -> Any:
        return {
            _at(f"[{key!r}]", self._store_key, key): _at(f"[{key!r}]", self.value.store, item)
            for key, item in self._items(value)
        }

    def load(self, stored: Any) -> Any:
        return {
            _at(f"[{key!r}]", self._load_key, key): _at(f"[{key!r}]", self.value.load, item)
            for key, item in self._items(stored)
        }

    def instances(self, stored: Any) -> Iterator["StoredInstance"]:
        return chain.from_iterable(map(self.value.instances, stored.values()))

    def _items(self, value: Any) -> Iterable[tuple[Any, Any]]:
        if not isinstance(value, dict):
            raise Unfit(_("an object"), value)
        return value.items()

    def _store_key(self, key: Any) -> str:
        stored = self.key.store(self._load_key(key))
        try:
            [text] = json.loads(json.dumps({stored: None}))
        except TypeError:
            raise Unfit(_("a text"), key) from None
        return str(text)

    def _load_key(self, key: Any) -> Any:
        try:
            return self.key.load(key)
        except Unfit as error:
            try:
                return self.key.load(json.loads(key))
            except (TypeError, ValueError, Unfit):
                raise error from None


@dataclass(frozen=True)
class Fields(ArgumentType):
    """An instance of a dataclass: an object with its fields."""

    cls: type

    def store(self, value: Any) -> Any:
        if isinstance(value, self.cls):
            value = {name: getattr(value, name) for name in self.fields}
        self._require_fields(value)
        return {name: _at(f".{name}", self.types[name].store, value[name]) for name in value}

    def load(self, stored: Any) -> Any:
        self._require_fields(stored)
        return self.cls(
            **{name: _at(f".{name}", self.types[name].load, stored[name]) for name in stored}
        )

    def instances(self, stored: Any) -> Iterator["StoredInstance"]:
        of = self.types
        return chain.from_iterable(of[name].instances(stored[name]) for name in stored)

    def _require_fields(self, value: Any) -> None:
        names = value.keys() if isinstance(value, dict) else set()
        required = {name for name, field in self.fields.items() if _has_no_default(field)}
        if not isinstance(value, dict) or names - self.fields.keys() or required - names:
            known = ", ".join(self.fields)
            raise Unfit(_("an object with the fields %(known)s") % {"known": known}, value)

    @property
    def fields(self) -> dict[str, "dataclasses.Field[Any]"]:
        """The fields that an instance is made with, by name."""
        return {field.name: field for field in dataclasses.fields(self.cls) if field.init}

    @property
    def types(self) -> Mapping[str, ArgumentType]:
        """The type of each field."""
        return _types_of_fields(self.cls)


def _has_no_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


@cache
def _types_of_fields(cls: type) -> Mapping[str, ArgumentType]:
    """Return the types of a dataclass's fields; looked up when needed, as it may hold its own."""
    hints, _problem = hints_of(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: argument_type(hints.get(name, Any)) for name in names}


@dataclass(frozen=True)
class Instance(ArgumentType):
    """A stored instance of a model, by its primary key."""

    model: type[Model]

    def store(self, value: Any) -> Any:
        key = value
        if isinstance(value, self.model):
            key = None if value._state.adding else value.pk
        elif not isinstance(value, int | str) or isinstance(value, bool):
            key = None
        try:
            _require(key is not None)
            key = self.model._meta.pk.to_python(key)
        except UNREADABLE:
            name = self.model._meta.verbose_name
            wanted = _("a stored %(model)s or its primary key") % {"model": name}
            raise Unfit(wanted, value) from None
        return key if isinstance(key, int | str) else str(key)

    def load(self, stored: Any) -> Any:
        """Return the instance as the database has it now; raises Gone if it has none."""
        key = self.store(stored)
        found = self.model._base_manager.filter(pk=key).first()
        if found is None:
            raise Gone(str(self.model._meta.verbose_name), key)
        return found

    def instances(self, stored: Any) -> Iterator["StoredInstance"]:
        yield StoredInstance(self.model, stored)


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance of a model that an argument names by its primary key."""

    model: type[Model]
    key: Any

    def __str__(self) -> str:
        return f"{self.model._meta.verbose_name} {self.key}"

    def is_gone(self) -> bool:
        """Return whether the database has it no more."""
        return not self.model._base_manager.filter(pk=self.key).exists()


def _at(where: str, convert: Callable[[Any], Any], value: Any) -> Any:
    """Convert a value that is part of another one; what is wrong with it is said of this place."""
    try:
        return convert(value)
    except Unfit as error:
        error.where = f"{where}{error.where}"
        raise


ANY = AnyJson()


def argument_type(hint: Any) -> ArgumentType:
    """Return the type that a hint means, JSON as it is if the hint isn't in the table."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    origin, of = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        others = [one for one in of if one is not NoneType]
        return OrNone(argument_type(others[0])) if len(others) == 1 else ANY
    if origin is Literal:
        is_json = all(type(value) in (str, int, bool, NoneType) for value in of)
        return Choice([(value, value) for value in of]) if is_json else ANY
    if list in (hint, origin):
        return ListOf(argument_type(of[0]) if of else ANY)
    if dict in (hint, origin):
        return _dict_type(*(of or (Any, Any)))
    return _class_type(hint) if isinstance(hint, type) else ANY


def _dict_type(key: Any, value: Any) -> ArgumentType:
    key_type = argument_type(key)
    is_key = isinstance(key_type, AnyJson | Scalar | Choice)
    return DictOf(key_type, argument_type(value)) if is_key else ANY


def _class_type(hint: type) -> ArgumentType:
    if hint in SCALARS:
        return SCALARS[hint]
    if issubclass(hint, Enum) and not issubclass(hint, Flag):
        return Choice.of_enum(hint)
    if issubclass(hint, Model):
        has_one_key = not hint._meta.abstract and len(hint._meta.pk_fields) == 1
        return Instance(hint) if has_one_key else ANY
    return Fields(hint) if dataclasses.is_dataclass(hint) else ANY


def hints_of(of: Any) -> tuple[dict[str, Any], str]:
    """Return the hints of a function or class, or none and why they can't be evaluated."""
    try:
        return get_type_hints(of), ""
    except Exception as error:  # whatever the hints' own code raises
        return {}, f"{type(error).__name__}: {error}"
