"""Types that all sections of the configuration share: bounded numbers, and models whose dictionaries lose entries."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Above0 = Annotated[float, Field(gt=0)]
From0 = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Once = AfterValidator(lambda names: list(dict.fromkeys(names)))
"""A name that stands twice in a list counts once."""


class Strict(BaseModel):
    """A model without nan or infinity, whose dictionaries lose an entry by setting it to null."""

    model_config = ConfigDict(allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_removed(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        removed = {
            name: {key: item for key, item in values[name].items() if item is not None}
            for name in dictionaries(cls)
            if isinstance(values.get(name), dict) and None in values[name].values()
        }
        return {**values, **removed} if removed else values


@cache
def dictionaries(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields of a model that are dictionaries whose entries users remove by null.

    A dictionary whose values may be null keeps such entries: null is a value there.
    """
    found = ((name, plain(info.annotation)) for name, info in model.model_fields.items())
    return tuple(name for name, kind in found if get_origin(kind) is dict and not nullable_values(kind))


def nullable_values(annotation: Any) -> bool:
    """Return whether a type is a dictionary in which null is a value."""
    return get_origin(annotation) is dict and type(None) in get_args(get_args(annotation)[1])


def plain(annotation: Any) -> Any:
    """Return a type without `Annotated` around it and without `| None`; of names or a dictionary, the dictionary."""
    while True:
        if hasattr(annotation, "__metadata__"):
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, UnionType):
            options = [each for each in get_args(annotation) if each is not type(None)]
            entries = [each for each in map(plain, options) if get_origin(each) is dict]
            if len(options) != 1 and len(entries) != 1:
                return annotation
            annotation = options[0] if len(options) == 1 else entries[0]
        else:
            return annotation


def type_at(model: Any, path: tuple[Any, ...]) -> Any:
    """Return the type that a configuration path leads to, e.g. ("questions", "mix") -> dict[...]; None if it leads
    nowhere."""
    here = plain(model)
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[step].annotation if step in here.model_fields else None
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        elif get_origin(here) in (list, tuple):
            here = get_args(here)[0]
        else:
            here = None
        here = plain(here)
    return here
