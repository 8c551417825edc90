"""Which keys of the configuration pydantic's errors are about."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from contrastive_context.config.base import Model
from contrastive_context.config.messages import message, suggest
from contrastive_context.core.json_types import JsonMapping

#: Pydantic's mark of an error in the key of a mapping, not in the value.
_KEY = "[key]"
_Error = Mapping[str, Any]
_Location = tuple[str | int, ...]


class _Place(NamedTuple):
    """Where an error is.

    Attributes:
        keys: of the configuration.
        holder: JSON Schema of what has the last key.
        schema: of its value.
        value: the location as pydantic gives it, up to a value that was tried as one of several types.
    """

    keys: _Location
    holder: Mapping[str, Any]
    schema: Mapping[str, Any]
    value: _Location


def problems(errors: Sequence[_Error], model: type[Model]) -> Iterator[str]:
    """Turn pydantic's errors into 'key.path: what is wrong (did you mean …?)'.

    Args:
        errors: of a ``ValidationError``.
        model: what was validated.
    """
    schema = _schema(model)
    wrong_keys = {error["loc"][:-1] for error in errors if error["loc"][-1:] == (_KEY,)}
    by_value: dict[_Location, dict[_Location, tuple[_Place, list[_Error]]]] = {}
    for error in errors:
        location = error["loc"]
        # Below a wrong key nothing can be right.
        if location[-1:] == (_KEY,) or not any(location[: len(key)] == key for key in wrong_keys):
            place = _locate(error, schema)
            by_value.setdefault(place.value, {}).setdefault(place.keys, (place, []))[1].append(error)
    for by_keys in by_value.values():
        # Of the types that a value may have, the one that it fits best.
        deepest = max(map(len, by_keys))
        yield from (_describe(place, same) for keys, (place, same) in by_keys.items() if len(keys) == deepest)


@functools.cache
def _schema(model: type[Model]) -> JsonMapping:
    return model.model_json_schema()


def _describe(place: _Place, errors: Sequence[_Error]) -> str:
    kind, keys, is_key = errors[0]["type"], place.keys, _is_key(errors[0])
    text = message({**errors[0], "type": "invalid_key"} if is_key else errors[0], *errors[1:])
    if kind == "extra_forbidden" or (is_key and kind == "literal_error"):
        known = _names(place.holder)
        text = "unknown key" + (suggest(str(keys[-1]), known) or f" (known: {', '.join(known)})")
    elif kind == "value_error":
        # A check of a whole entry begins with the key that it is about.
        name, _, rest = text.partition(": ")
        if name.partition(".")[0] in _names(place.schema):
            keys, text = (*keys, name), rest
    return f"{'.'.join(map(str, keys)) or '(top level)'}: {text}"


def _locate(error: _Error, schema: JsonMapping) -> _Place:
    """Leave out of pydantic's location what is no key: the tags and types of unions, and the mark of a key.

    A tag may be the name of a key, too: a corpus of kind ``files`` has a key ``files``. So the schema tells.
    """
    location, definitions = error["loc"], schema["$defs"]
    keys: list[str | int] = []
    holder, node, value = schema, schema, location
    for number, part in enumerate(location):
        if mapping := node.get("discriminator", {}).get("mapping"):
            node = _resolve({"$ref": mapping[part]}, definitions)
        elif len(node.get("anyOf", ())) > 1:
            # Members of such unions are text, numbers and lists of them, which have no keys below that differ.
            node, value = {}, location[:number]
        elif part != _KEY:
            keys.append(part)
            holder, node = node, _resolve(_child(node, part), definitions)
    if keys and _is_key(error):
        keys[-1] = error["input"]  # pydantic gives no and yes as 0 and 1
    if "discriminator" in error.get("ctx", {}):
        keys.append(error["ctx"]["discriminator"].strip("'"))
    return _Place(tuple(keys), holder, node, value)


def _is_key(error: _Error) -> bool:
    return error["type"] == "invalid_key" or error["loc"][-1:] == (_KEY,)


def _resolve(node: JsonMapping, definitions: JsonMapping) -> JsonMapping:
    """Follow references, and unions that are one thing or nothing."""
    while True:
        some = [member for member in node.get("anyOf", ()) if member != {"type": "null"}]
        if "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]]
        elif len(some) == 1:
            node = some[0]
        else:
            return {**node, "anyOf": some} if some else node


def _child(node: JsonMapping, part: str | int) -> JsonMapping:
    if isinstance(part, int):
        first = node.get("prefixItems", ())
        return first[part] if 0 <= part < len(first) else node.get("items", {})
    entry = node.get("additionalProperties")
    return node.get("properties", {}).get(part) or (entry if isinstance(entry, dict) else {})


def _names(node: JsonMapping) -> list[str]:
    """Return the keys that a mapping may have, where these are given."""
    return list(node.get("properties", node.get("propertyNames", {}).get("enum", ())))
