"""What a household calls its rooms, devices, lists and so on, in several languages, read from ``households.yaml``."""

import functools
from importlib import resources
from typing import NamedTuple

import yaml


class Household(NamedTuple):
    """Names that commands may speak of: ``names`` by Home Assistant's domain, ``words`` by the grammars' lists."""

    areas: list[str]
    floors: list[str]
    names: dict[str, list[str]]
    words: dict[str, list[str]]


@functools.cache
def households() -> dict[str, Household]:
    """Return the households by language, as the grammars call it."""
    text = (resources.files(__package__) / "households.yaml").read_text(encoding="utf-8")
    # This loader makes nothing but text, lists and mappings: others read "no" and "on" as false and true.
    content = yaml.BaseLoader(text).get_single_data()
    return {language: Household(**household) for language, household in content.items()}
