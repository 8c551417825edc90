"""The JSON Schema that editors read is the typed model's, and the shipped configuration keeps to it."""

import copy
import json

import jsonschema
import pytest
import yaml

from contrastive_context.config.schema import schema_text


def test_the_file_is_what_the_model_gives(repository):
    written = (repository / "docs/config.schema.json").read_text()
    assert written == schema_text(), "run: python -m contrastive_context.config.schema > docs/config.schema.json"


def test_every_leaf_says_what_it_is():
    schema = json.loads(schema_text())
    leaves = {
        f"{model}.{name}": leaf
        for model, definition in {"Study": schema, **schema["$defs"]}.items()
        for name, leaf in definition.get("properties", {}).items()
        # What lies below a reference has a text of its own; kind and format name the model that they stand in.
        if "$ref" not in leaf and name not in ("kind", "format")
    }
    assert [name for name, leaf in leaves.items() if not leaf.get("description")] == []


def test_the_shipped_configuration_keeps_to_it_and_names_it(repository):
    text = (repository / "config.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=docs/config.schema.json\n")
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    config = yaml.safe_load(text)
    validator.validate(config)
    mistaken = copy.deepcopy(config)
    mistaken["tasks"]["en-de"]["kk"] = 3
    with pytest.raises(jsonschema.ValidationError, match="kk"):
        validator.validate(mistaken)
