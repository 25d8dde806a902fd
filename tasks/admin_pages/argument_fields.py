"""The form fields of a task function's arguments, made from its signature and its hints.

Each parameter has a field of its own, a dataclass a group of them. What is typed becomes the JSON
that is stored: a default that is left alone isn't stored, and a value that is left alone stays as
it is, in the place where it is, so that a schedule that is only looked at keeps its identity.
"""

import dataclasses
import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from inspect import Parameter
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from tasks.admin_pages.argument_texts import (
    JSON,
    LINE,
    Typed,
    fits_lines,
    typed,
    widget,
)
from tasks.argument_types import (
    SCALARS,
    UNREADABLE,
    ArgumentType,
    Choice,
    Fields,
    ListOf,
    OrNone,
    StoredInstance,
    Unfit,
)
from tasks.masking import MASK, MaskedValue, is_secret_name, mask_json, restore
from tasks.registry import TaskFunction

# Returns the rows of a model that a user may name.
Rows = Callable[[type[Model]], QuerySet[Any]]
PREFIX = "arg-"
# Dataclasses in dataclasses deeper than this are typed as JSON: one may hold its own kind.
DEEPEST_GROUP = 3
POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Unset(Enum):
    """What stands for no value: None is one."""

    LEFT = auto()  # The argument isn't given: the function's default counts.
    ODD = auto()  # A default that has no JSON, such as an object of the function's own.


LEFT, ODD = Unset.LEFT, Unset.ODD


def without_none(of: ArgumentType) -> ArgumentType:
    """Return a type without the None that it allows as well."""
    while isinstance(of, OrNone):
        of = of.type
    return of


def masked_message() -> str:
    """Return the error for a text that holds the mask in place of a secret that isn't known."""
    text = _(
        "“%(mask)s” stands for a secret that isn't shown. Leave the value as it is, "
        "or type the secret instead."
    )
    return text % {"mask": MASK}


@dataclass(frozen=True)
class Given:
    """What is known of an argument: its stored JSON and its default's, and who may see them."""

    stored: Any = LEFT
    default: Any = LEFT
    is_secret: bool = False

    @property
    def start(self) -> Any:
        """The JSON that the form starts with; LEFT for an empty field."""
        value = self.default if self.stored is LEFT else self.stored
        return LEFT if value is ODD else value

    @property
    def is_required(self) -> bool:
        return self.default is LEFT

    def part(self, name: str, default: Any) -> "Given":
        """Return what is known of a field of a dataclass."""
        start = self.start
        stored = start.get(name, LEFT) if isinstance(start, dict) else LEFT
        return Given(stored, default, self.is_secret or is_secret_name(name))


class ArgumentField(forms.Field):
    """One argument, typed as a text; its value is JSON, or LEFT."""

    def __init__(self, of: ArgumentType, given: Given, label: str, help_text: str = "") -> None:
        self.of, self.given = of, given
        self.inner = without_none(of)
        self.how = self._how()
        self.shown = (
            LEFT if given.start is LEFT else mask_json(given.start, is_secret=given.is_secret)
        )
        # A function that was picked just now: its fields weren't on the page that was sent.
        self.is_new = False
        # Which rows of a model the user who types may name.
        self.nameable: Rows = all_rows
        text = self._text(self.shown)
        super().__init__(
            required=False,
            label=label,
            help_text=help_text,
            initial=text,
            widget=self._widget(text),
            validators=[ProhibitNullCharactersValidator()],
        )

    def _how(self) -> Typed:
        start = self.given.start
        if isinstance(self.inner, ListOf) and isinstance(start, list) and not fits_lines(start):
            return JSON
        return typed(self.inner)

    @property
    def is_checkbox(self) -> bool:
        return isinstance(self.widget, forms.CheckboxInput)

    def _widget(self, text: str) -> forms.Widget:
        if self.given.is_secret:
            return forms.TextInput({**LINE, "class": "w100"})
        if self.inner is SCALARS[bool]:
            if self.of is self.inner and isinstance(self.given.start, bool):
                return forms.CheckboxInput(check_test=lambda value: value in (True, "true"))
            return forms.Select(choices=[*self._empty(), ("true", _("yes")), ("false", _("no"))])
        if isinstance(self.inner, Choice):
            shown = ((json.dumps(one), _label(one, value)) for one, value in self.inner.choices)
            return forms.Select(choices=[*self._empty(), *shown])
        return widget(self.inner, self.how, is_long="\n" in text)

    def _empty(self) -> list[tuple[str, str]]:
        """Return the choice of no value, where there is one."""
        if self.of is not self.inner:
            return [("", _("none"))]
        return [("", "---------")] if self.given.start is LEFT else []

    def _text(self, value: Any) -> str:
        """Return how JSON is shown; a mask, and what isn't of its type any more, as it is."""
        if value is LEFT or value is None:
            return ""
        if value == MASK and self.given.is_secret:
            return MASK
        try:
            return self.how.show(value)
        except UNREADABLE:
            return str(value)

    @property
    def kind(self) -> str:
        """What is to be given, in words."""
        names = {"kind": self.how.kind}
        return _("%(kind)s, optional") % names if self.of is not self.inner else str(self.how.kind)

    @property
    def default_text(self) -> str:
        """The default, as it is typed; empty if there is none to be shown."""
        default = self.given.default
        if default in (LEFT, ODD, [], {}) or self.given.is_secret:
            return ""
        if isinstance(self.inner, Choice):
            return next((_label(one, of) for one, of in self.inner.choices if one == default), "")
        return self._text(mask_json(default))

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial if self.is_new else data

    def has_changed(self, initial: Any, data: Any) -> bool:
        return not self.is_new and _same(data, self.initial) is False

    def clean(self, value: Any) -> Any:
        """Return the JSON of what was typed, LEFT for the function's default.

        A field that wasn't sent is left alone.
        """
        shown = self.initial or ""
        text = {True: "true", False: "false", None: shown}.get(value, value)
        self.run_validators(text)
        if _same(text, self.initial) and (
            self.given.stored is not LEFT or not self.given.is_required
        ):
            return self.given.stored
        if not text.strip() and self.inner is not SCALARS[str]:
            return self._empty_value()
        if not text and (self.of is not self.inner or self.given.is_required):
            return self._empty_value()
        value = self._stored(self._read(text))
        return LEFT if not self.given.is_required and value == self.given.default else value

    def _empty_value(self) -> Any:
        if self.of is not self.inner:
            is_default = self.given.default is None and not self.given.is_required
            return LEFT if is_default else None
        if isinstance(self.inner, ListOf) and self.how is not JSON:
            return LEFT if self.given.default == [] else []
        if self.given.is_required:
            raise ValidationError(str(self.how.wrong), code="required")
        return LEFT

    def _read(self, text: str) -> Any:
        try:
            value = self.how.read(text if self.inner is SCALARS[str] else text.strip())
            return restore(value, self.shown, self.given.start)
        except MaskedValue:
            raise ValidationError(masked_message()) from None
        except ValidationError:
            raise
        except (*UNREADABLE, KeyError):
            wrong = masked_message() if MASK in text else str(self.how.wrong)
            raise ValidationError(wrong) from None

    def _stored(self, value: Any) -> Any:
        try:
            stored = self.inner.store(value)
        except Unfit as error:
            if self.how is JSON:
                text = (
                    _("%(where)s: must be %(wanted)s.") if error.where else _("Must be %(wanted)s.")
                )
                words = text % {"where": error.where, "wanted": error.wanted}
                raise ValidationError(words[:1].upper() + words[1:]) from None
            raise ValidationError(str(self.how.wrong)) from None
        require_rows(self.inner.instances(stored), self.nameable)
        return stored


def require_rows(named: Iterable[StoredInstance], nameable: Rows) -> None:
    """Raise ValidationError if there is no such row, or none that this user may name."""
    for one in named:
        if not nameable(one.model).filter(pk=one.key).exists():
            raise ValidationError(_("There is no %(row)s.") % {"row": one})


def all_rows(model: type[Model]) -> QuerySet[Any]:
    """Return all rows of a model."""
    return model._base_manager.all()


def _label(stored: Any, value: Any) -> str:
    return str(getattr(value, "label", stored))


def _same(typed: Any, shown: Any) -> bool:
    """Return whether a text is the one that was shown: browsers send other line ends."""
    text = {True: "true", False: "false", None: shown}.get(typed, typed)
    return bool(str(text or "").replace("\r\n", "\n") == str(shown or "").replace("\r\n", "\n"))


class Part(ABC):
    """A parameter, or a field of a dataclass, on the form."""

    name: str
    label: str

    @abstractmethod
    def fields(self) -> Iterator[tuple[str, forms.Field]]:
        """Yield its form fields, by their names."""

    @abstractmethod
    def value(self, data: Mapping[str, Any]) -> Any:
        """Return its JSON from the values of the fields, or LEFT."""

    def unused(self, data: Mapping[str, Any]) -> Iterator[str]:
        """Yield the names of fields that don't count, so that nothing is wrong with them."""
        return iter(())


@dataclass(frozen=True)
class Single(Part):
    """One field."""

    name: str
    label: str
    field: ArgumentField

    def fields(self) -> Iterator[tuple[str, forms.Field]]:
        yield self.name, self.field

    def value(self, data: Mapping[str, Any]) -> Any:
        return data.get(self.name, LEFT)


@dataclass(frozen=True)
class Group(Part):
    """The fields of a dataclass; `switch` is the field that says whether there is one at all."""

    name: str
    label: str
    help_text: str
    given: Given
    parts: Sequence[tuple[str, Part]]
    switch: str = ""

    def fields(self) -> Iterator[tuple[str, forms.Field]]:
        if self.switch:
            is_on = self.given.start is not LEFT and self.given.start is not None
            yield self.switch, forms.BooleanField(required=False, initial=is_on, label=self.label)
        for _name, part in self.parts:
            yield from part.fields()

    def value(self, data: Mapping[str, Any]) -> Any:
        if self.switch and not data.get(self.switch):
            value = None
        else:
            values = ((name, part.value(data)) for name, part in self.parts)
            value = {name: one for name, one in values if one is not LEFT}
        if self.given.stored is not LEFT and value == self.given.stored:
            return value
        return LEFT if not self.given.is_required and value == self.given.default else value

    def unused(self, data: Mapping[str, Any]) -> Iterator[str]:
        is_off = bool(self.switch) and not data.get(self.switch)
        for _name, part in self.parts:
            if is_off:
                yield from (name for name, _field in part.fields())
            else:
                yield from part.unused(data)


class CallFields:
    """The fields of a function's arguments, as they are stored now (or not yet).

    What `*args` and `**kwargs` take is `rest_args` and `rest_kwargs`: JSON, in fields of the form
    named `args` and `kwargs`; None for a function without them.
    """

    def __init__(
        self,
        function: TaskFunction,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Raise TypeError if the function has no place for these arguments."""
        self.function = function
        self._parameters = function.signature.parameters
        bound = function.signature.bind_partial(*args, **kwargs or {}).arguments
        self._stored_positions = len(args)
        self._is_new = not args and not kwargs
        rest = {one.kind: one.name for one in self._parameters.values()}
        self.rest_names = {
            "args": rest.get(Parameter.VAR_POSITIONAL, ""),
            "kwargs": rest.get(Parameter.VAR_KEYWORD, ""),
        }
        self.rest_args = self._rest(rest, Parameter.VAR_POSITIONAL, bound, [])
        self.rest_kwargs = self._rest(rest, Parameter.VAR_KEYWORD, bound, {})
        help_texts = parameter_help(function)
        named = [
            one
            for one in self._parameters.values()
            if one.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        ]
        self.parts: dict[str, Part] = {
            one.name: _part(
                f"{PREFIX}{one.name}",
                one.name,
                function.arguments.types[one.name],
                self._given(one, bound),
                help_texts.get(one.name, ""),
            )
            for one in named
        }

    @staticmethod
    def _rest(rest: Mapping[Any, str], kind: Any, bound: Mapping[str, Any], none: Any) -> Any:
        return type(none)(bound.get(rest[kind], none)) if kind in rest else None

    def _given(self, parameter: Parameter, bound: Mapping[str, Any]) -> Given:
        default: Any = LEFT
        if parameter.default is not Parameter.empty:
            default = _as_json(self.function.arguments.types[parameter.name], parameter.default)
        stored = bound.get(parameter.name, LEFT)
        return Given(stored, default, self.function.is_secret(parameter.name))

    def fields(self) -> dict[str, forms.Field]:
        """Return all fields, by their names, in the order of the parameters."""
        return {name: field for part in self.parts.values() for name, field in part.fields()}

    def masked_rest(self) -> tuple[Any, Any]:
        """Return what `*args` and `**kwargs` take, as it is shown."""
        is_secret = self.function.is_secret
        kwargs = self.rest_kwargs or {}
        return (
            mask_json(self.rest_args, is_secret=is_secret(self.rest_names["args"])),
            {name: mask_json(one, is_secret=is_secret(name)) for name, one in kwargs.items()},
        )

    def unused(self, data: Mapping[str, Any]) -> set[str]:
        """Return the names of fields that don't count."""
        return {name for part in self.parts.values() for name in part.unused(data)}

    def arguments(
        self, data: Mapping[str, Any], rest_args: Sequence[Any], rest_kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and named arguments from the values of the fields.

        Raises ValidationError if an argument must be given because of a later one.
        """
        values = {name: part.value(data) for name, part in self.parts.items()}
        positions = [name for name, one in self._parameters.items() if one.kind in POSITIONAL]
        number = len(positions) if rest_args else self._positional(positions, values)
        while number and not rest_args and values[positions[number - 1]] is LEFT:
            number -= 1
        args = [self._filled(name, values[name]) for name in positions[:number]]
        kwargs = {
            name: value
            for name, value in values.items()
            if name not in positions[:number] and value is not LEFT
        }
        return [*args, *rest_args], {**kwargs, **rest_kwargs}

    def _positional(self, positions: Sequence[str], values: Mapping[str, Any]) -> int:
        """Return how many are positional: as they are stored, else those that must be given."""
        number = min(self._stored_positions, len(positions))
        for index, name in enumerate(positions, start=1):
            parameter = self._parameters[name]
            is_required = parameter.default is Parameter.empty
            if (self._is_new and is_required) or (
                parameter.kind is Parameter.POSITIONAL_ONLY and values[name] is not LEFT
            ):
                number = max(number, index)
        return number

    def _filled(self, name: str, value: Any) -> Any:
        if value is not LEFT:
            return value
        default = self._given(self._parameters[name], {}).default
        if default is LEFT or default is ODD:
            text = _("Give “%(name)s” too: an argument that comes after it is given.")
            raise ValidationError(text % {"name": name})
        return default


def _part(name: str, label: str, of: ArgumentType, given: Given, help_text: str) -> Part:
    inner = without_none(of)
    start = given.start
    is_group = isinstance(inner, Fields) and (start in (LEFT, None) or isinstance(start, dict))
    if not is_group or name.count(".") >= DEEPEST_GROUP:
        return Single(name, label, ArgumentField(of, given, label, help_text))
    assert isinstance(inner, Fields)
    parts = [
        (
            child,
            _part(
                f"{name}.{child}",
                child,
                inner.types[child],
                given.part(child, _default_of_field(field, inner.types[child])),
                str(field.metadata.get("help", "")),
            ),
        )
        for child, field in inner.fields.items()
    ]
    switch = f"{name}.given" if of is not inner else ""
    return Group(name, label, help_text, given, parts, switch)


def _default_of_field(field: "dataclasses.Field[Any]", of: ArgumentType) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return _as_json(of, field.default_factory())
    return LEFT if field.default is dataclasses.MISSING else _as_json(of, field.default)


def _as_json(of: ArgumentType, default: Any) -> Any:
    """Return the JSON of a default, ODD if it has none."""
    if default is None:
        return None
    try:
        stored = of.store(default)
        return json.loads(json.dumps(stored, allow_nan=False))
    except (Unfit, *UNREADABLE):
        return ODD


SECTION = re.compile(r"(?:Args|Arguments|Parameters):\s*")
IN_SECTION = re.compile(r"\*{0,2}(\w+)(?: \([^)]*\))?:\s+(.+)")
AS_FIELD = re.compile(r":param (?:[\w\[\], |.]+ )?\*{0,2}(\w+):\s*(.+)")


def parameter_help(function: TaskFunction) -> dict[str, str]:
    """Return what a docstring says of each parameter, written as Google or Sphinx have it."""
    found: dict[str, str] = {}
    is_inside = False
    for line in (inspect.getdoc(function.func) or "").splitlines():
        if match := AS_FIELD.match(line.strip()):
            found[match[1]] = match[2]
        elif SECTION.fullmatch(line):
            is_inside = True
        elif line.strip() and not line.startswith(" "):
            is_inside = False
        elif is_inside and (match := IN_SECTION.fullmatch(line.strip())):
            found[match[1]] = match[2]
    return found
