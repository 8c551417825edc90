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
