"""Checks of the shapes that annotations of functions name, for the tests of training and of geometry.

Modules import jaxtyping for type checkers alone, so that nothing is checked, or slower, where they are used.
"""

import inspect
import types
import typing
from collections.abc import Iterator

import jaxtyping
import numpy as np
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeCallHintViolation
from beartype.vale import Is
from numpy.typing import ArrayLike

WRONG = (jaxtyping.TypeCheckError, BeartypeCallHintViolation)
"""Errors of arguments and results of another shape or type."""
TYPES = ("Bool", "Float", "Float32", "Float64", "Int", "Int32", "Int64", "Real", "Shaped", "UInt8", "UInt32")


class ArrayType:
    """A type of jaxtyping, such as Float; of `ArrayLike` also nested lists have the shape that is named."""

    def __init__(self, name: str):
        self._type = getattr(jaxtyping, name)

    def __getitem__(self, item: tuple):
        if item[0] is not ArrayLike:
            return self._type[item]
        wanted = self._type[np.ndarray, item[1]]
        return typing.Annotated[object, Is[lambda value: isinstance(np.asarray(value), wanted)]]


NAMES = {name: ArrayType(name) for name in TYPES}


def hints(module, thing) -> dict:
    """Annotations of a function or class as types."""
    return typing.get_type_hints(thing, {**vars(module), **NAMES}, include_extras=True)


def checked(module, function):
    """A copy of a function that refuses arguments and results of other shapes than its annotations name."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = hints(module, function)
    return jaxtyping.jaxtyped(typechecker=beartype(conf=BeartypeConf(is_pep484_tower=True)))(copy)


def annotated(module, owner) -> Iterator[tuple[str, types.FunctionType]]:
    """Functions of a module or class whose annotations have shapes."""
    for name, function in vars(owner).items():
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not hasattr(function, "cache"):
            notes = [str(note) for note in function.__annotations__.values()]
            if any(f"{each}[" in note for each in TYPES for note in notes):
                yield name, function
