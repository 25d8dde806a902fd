"""The arguments of a function, to JSON and back, each by its parameter's type."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from inspect import Parameter, Signature
from itertools import chain
from typing import Any

from tasks.argument_types import (
    ANY,
    ArgumentType,
    OrNone,
    StoredInstance,
    Unfit,
    argument_type,
    hints_of,
)
from tasks.exceptions import InvalidArguments
from tasks.masking import is_secret_name


@dataclass(frozen=True)
class Arguments:
    """What a function takes: its signature, and the type of each parameter by name.

    `problem` says why its hints can't be evaluated; then all of them are ignored.
    """

    signature: Signature
    types: Mapping[str, ArgumentType]
    problem: str

    def store(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        is_secret: Callable[[str], bool] = is_secret_name,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments as JSON; raises InvalidArguments for one that isn't of its type.

        What the signature has no place for stays as it is. `is_secret` says of a parameter whether
        its values must not be shown in an error.
        """
        return self._convert(args, kwargs, self._stores, is_secret)

    def load(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        is_secret: Callable[[str], bool] = is_secret_name,
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return stored arguments as the function takes them; else as `store`.

        Raises InvalidArguments also for one whose object is gone.
        """
        return self._convert(args, kwargs, self._loads, is_secret)

    def instances(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[StoredInstance]:
        """Yield the instances of models that stored arguments name; these must fit."""
        named, rest = self._names, self._rest
        given = [(self._at(index)[1], value) for index, value in enumerate(args)]
        given += [(name if name in named else rest, value) for name, value in kwargs.items()]
        return chain.from_iterable(self.types[name].instances(value) for name, value in given)

    def _convert(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        conversions: Mapping[str, Callable[[Any], Any]],
        is_secret: Callable[[str], bool],
    ) -> tuple[list[Any], dict[str, Any]]:
        if not conversions:
            return list(args), dict(kwargs)

        def one(label: str, parameter: str, value: Any, field: str) -> Any:
            if parameter not in conversions:
                return value
            try:
                return conversions[parameter](value)
            except Unfit as error:
                secret = is_secret(label) or is_secret(parameter)
                raise InvalidArguments(error.about(label, is_secret=secret), field) from error

        named, rest = self._names, self._rest
        return (
            [one(*self._at(index), value, "args") for index, value in enumerate(args)],
            {
                name: one(name, name if name in named else rest, value, "kwargs")
                for name, value in kwargs.items()
            },
        )

    def _at(self, index: int) -> tuple[str, str]:
        """Return what the argument at a position is called, and its parameter."""
        positions = self._positions
        if index < len(positions):
            return positions[index], positions[index]
        rest = "".join(self._of_kind(Parameter.VAR_POSITIONAL))
        return f"{rest}[{index - len(positions)}]", rest

    @cached_property
    def _stores(self) -> Mapping[str, Callable[[Any], Any]]:
        return {name: of.store for name, of in self.types.items() if of is not ANY}

    @cached_property
    def _loads(self) -> Mapping[str, Callable[[Any], Any]]:
        return {name: of.load for name, of in self.types.items() if of is not ANY}

    @cached_property
    def _positions(self) -> list[str]:
        return self._of_kind(Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)

    @cached_property
    def _names(self) -> list[str]:
        return self._of_kind(Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)

    @cached_property
    def _rest(self) -> str:
        return "".join(self._of_kind(Parameter.VAR_KEYWORD))

    def _of_kind(self, *kinds: Any) -> list[str]:
        parameters = self.signature.parameters.values()
        return [parameter.name for parameter in parameters if parameter.kind in kinds]


@cache
def arguments_of(func: Callable[..., Any]) -> Arguments:
    """Return what a function takes; its hints are evaluated when this is first asked."""
    signature = inspect.signature(func)
    hints, problem = hints_of(func)
    found = {
        name: _type_of(parameter, hints.get(name, Any))
        for name, parameter in signature.parameters.items()
    }
    return Arguments(signature, found, problem)


def _type_of(parameter: Parameter, hint: Any) -> ArgumentType:
    of = argument_type(hint)
    return OrNone(of) if parameter.default is None and of is not ANY else of
