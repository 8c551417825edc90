"""A mistake at any key, in every member of every union of the configuration, is told with its own key and line."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from contrastive_context.config.files import compose
from contrastive_context.config.study import Study, load_study
from contrastive_context.core.errors import UserError

SCHEMA = Study.model_json_schema()
Keys = tuple[str | int, ...]


def members(schema: dict) -> list[dict]:
    """What may stand at a place: one schema, or the members of a union."""
    if "$ref" in schema:
        return members(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if union := schema.get("oneOf") or schema.get("anyOf"):
        return [inner for member in union for inner in members(member) if inner != {"type": "null"}]
    return [schema]


def children(schema: dict) -> dict[str | int, dict]:
    """The keys below a mapping or list; one of them where any name, or any number of entries, will do."""
    if "properties" in schema:
        return schema["properties"]
    if isinstance(entry := schema.get("additionalProperties"), dict):
        names = members(schema.get("propertyNames", {}))[0].get("enum", ["made-up"])
        return {names[0]: entry}
    if schema.get("type") == "array":
        return dict(enumerate(schema.get("prefixItems") or [schema["items"]]))
    return {}


def sample(schema: dict) -> Any:
    """A value of the right type; it may be refused for another reason, which is told too."""
    schema = members(schema)[0]
    below = {key: sample(child) for key, child in children(schema).items()}
    if schema.get("type") == "array":
        return list(below.values())
    if schema.get("type") == "object":
        return below
    if schema["type"] in ("integer", "number"):
        return schema.get("minimum", 1)
    return schema.get("const", (schema.get("enum") or ["x" if schema["type"] == "string" else True])[0])


def places(schema: dict) -> Iterator[tuple[Keys, dict, Callable[[Any], Any]]]:
    """Yield the keys of every place, what may stand there, and a function that puts a value there."""
    for member in members(schema):
        yield (), member, lambda value: value
        for key, child in children(member).items():
            for keys, kind, put in places(child):

                def put_below(value: Any, member: dict = member, key: Any = key, put: Callable = put) -> Any:
                    whole = sample(member)
                    whole[key] = put(value)
                    return whole

                yield (key, *keys), kind, put_below


def mistakes() -> Iterator[tuple[Keys, Any]]:
    """Yield the place of a mistake and the configuration with it."""
    for keys, kind, put in places(SCHEMA):
        if not keys:
            continue
        yield keys, put({"planted": [1]} if kind.get("type") != "object" else [1])
        if kind.get("type") == "object" and kind.get("additionalProperties") is False:
            yield (*keys, "planted"), put({**sample(kind), "planted": 1})
        if "propertyNames" in kind:
            yield (*keys, "planted"), put({**sample(kind), "planted": 1})
        for missing in kind.get("required", ()):
            yield (*keys, missing), put({key: value for key, value in sample(kind).items() if key != missing})


def line_of(node: yaml.Node, keys: Keys) -> int:
    """The line of the last key of a path, or of the last that is there."""
    line = 0
    for key in keys:
        entries = (
            {str(name.value): (name, value) for name, value in node.value} if isinstance(node, yaml.MappingNode) else {}
        )
        if isinstance(node, yaml.SequenceNode):
            entries = {str(place): (value, value) for place, value in enumerate(node.value)}
        if str(key) in entries:
            name, node = entries[str(key)]
            line = name.start_mark.line + 1
    return line


def test_a_mistake_anywhere_is_told_with_its_key_and_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, wrong, count = tmp_path / "mine.yaml", [], 0
    for keys, config in mistakes():
        path.write_text(json.dumps(config, indent=0))  # JSON is YAML; each key has a line of its own
        told = f"mine.yaml:{line_of(compose(path), keys)}: {'.'.join(map(str, keys))}: "
        with pytest.raises(UserError) as caught:
            load_study(config, ["mine.yaml"])
        lines = [line.strip() for line in str(caught.value).splitlines()]
        count += 1
        # Said once, whatever number of types a value may have.
        if sum(line.startswith(told) for line in lines) != 1:
            wrong.append((told, lines))
    assert not wrong, f"{len(wrong)} of {count}: {wrong[:3]}"
    assert count > 500
