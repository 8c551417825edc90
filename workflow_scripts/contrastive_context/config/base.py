"""What every configuration model shares."""

import unicodedata
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A frozen configuration model that refuses unknown keys and numbers that JSON has no word for."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


Item = TypeVar("Item")


def _distinct(values: list[Item]) -> list[Item]:
    if twice := [value for value in dict.fromkeys(values) if values.count(value) > 1]:
        raise ValueError(f"{twice[0]!r} is listed twice")
    return values


Distinct = AfterValidator(_distinct)
"""Of a list: no entry stands in it twice."""

Composed = Annotated[str, AfterValidator(lambda text: unicodedata.normalize("NFC", text))]
"""Text in the form that corpora are brought to."""

Seed = Annotated[int, Field(ge=0, lt=2**32, description="another seed draws other random numbers")]

Minutes = Annotated[int, Field(ge=1, le=43_200)]
"""At most thirty days: what is longer was meant in seconds."""

Entry = TypeVar("Entry", bound=Model)


def at_default(entry: Entry, *leaves: str) -> Entry:
    """Return an entry whose leaves of these names, where it has them, are at their defaults, whatever was given.

    For the settings of a step that doesn't look at them: an edit of them then changes no setting and reruns nothing.
    """
    fields = type(entry).model_fields
    defaults = {name: fields[name].get_default(call_default_factory=True) for name in leaves if name in fields}
    return entry.model_copy(update=defaults)
