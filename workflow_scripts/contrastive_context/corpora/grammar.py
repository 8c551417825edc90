"""Sentence templates of Home Assistant's intent grammars: parsed to a tree, expanded at random.

The notation (https://github.com/OHF-Voice/hassil): ``[optional]``, ``(one|of|these)``, ``(in;any;order)``,
``<rule>`` and ``{list}`` or ``{list:slot}``.
"""

import dataclasses
import random
import re
from collections.abc import Callable, Mapping

_SPECIAL = re.compile(r"[\[\](){}<>|;]")
_MAX_DEPTH = 20


class GrammarError(ValueError):
    """A template that can't be read, or refers to a rule that doesn't exist."""


@dataclasses.dataclass(frozen=True)
class Text:
    """Literal text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Sequence:
    """Parts one after the other."""

    parts: tuple["Node", ...]


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several options; an optional part may also be left out."""

    options: tuple["Node", ...]
    optional: bool


@dataclasses.dataclass(frozen=True)
class Permutation:
    """Parts in any order."""

    parts: tuple["Node", ...]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A named expansion rule."""

    name: str


@dataclasses.dataclass(frozen=True)
class Slot:
    """A value of a list, stored under the slot's name."""

    list: str
    slot: str


Node = Text | Sequence | Choice | Permutation | Rule | Slot


def parse(template: str) -> Node:
    """Parse a template.

    Raises:
        GrammarError: brackets don't match, or ``|`` and ``;`` are mixed in one group.
    """
    node, position = _parse_group(template, 0, closing="")
    if position != len(template):
        raise GrammarError(f"unexpected {template[position]!r} at {position} in {template!r}")
    return node


def _parse_group(text: str, position: int, closing: str) -> tuple[Node, int]:
    """Parse up to ``closing`` (the end of the text if empty); return the node and the position of ``closing``."""
    items: list[Node] = []
    parts: list[Node] = []
    separator = ""
    while position < len(text) and text[position] != closing:
        character = text[position]
        if character in "|;":
            if separator not in ("", character):
                raise GrammarError(f"'|' and ';' in one group of {text!r}")
            separator = character
            items.append(_sequence(parts))
            parts = []
            position += 1
        elif character in "([":
            end = ")" if character == "(" else "]"
            node, position = _parse_group(text, position + 1, end)
            if position >= len(text):
                raise GrammarError(f"{character!r} is not closed in {text!r}")
            if character == "[":
                node = Choice(node.options if isinstance(node, Choice) and not node.optional else (node,), True)
            parts.append(node)
            position += 1
        elif character in "<{":
            end_position = text.find(">" if character == "<" else "}", position)
            if end_position < 0:
                raise GrammarError(f"{character!r} is not closed in {text!r}")
            name = text[position + 1 : end_position]
            if character == "<":
                parts.append(Rule(name))
            else:
                list_name, _, slot = name.partition(":")
                parts.append(Slot(list_name, slot or list_name))
            position = end_position + 1
        elif character in ")]}>":
            raise GrammarError(f"{character!r} is not opened in {text!r}")
        else:
            match = _SPECIAL.search(text, position)
            end_position = match.start() if match else len(text)
            parts.append(Text(text[position:end_position]))
            position = end_position
    items.append(_sequence(parts))
    if separator == ";":
        return Permutation(tuple(items)), position
    return (Choice(tuple(items), False) if separator else items[0]), position


def _sequence(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Sequence(tuple(parts))


def slots_of(node: Node, rules: Mapping[str, Node]) -> set[str]:
    """Return the names of the lists that an expansion of ``node`` may draw from."""
    if isinstance(node, Slot):
        return {node.list}
    if isinstance(node, Rule):
        return slots_of(_rule(rules, node.name), rules)
    children = node.options if isinstance(node, Choice) else getattr(node, "parts", ())
    return set().union(*(slots_of(child, rules) for child in children))


def expand(
    node: Node,
    rules: Mapping[str, Node],
    values: Callable[[str, random.Random], tuple[str, str]],
    rng: random.Random,
) -> tuple[str, dict[str, str]]:
    """Expand a template once.

    An optional part is kept half of the time. Of n alternatives the i-th (from 1) has a weight of 1/i: the grammars
    list what people usually say first.

    Args:
        node: a parsed template.
        rules: parsed expansion rules by name.
        values: list name and generator → (what is said, the slot's value).
        rng: source of randomness.

    Returns:
        The utterance with single spaces, and the value by slot.

    Raises:
        GrammarError: an unknown rule, or rules that refer to each other without end.
    """
    slots: dict[str, str] = {}

    def walk(node: Node, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise GrammarError("expansion rules refer to each other without end")
        if isinstance(node, Text):
            return node.text
        if isinstance(node, Sequence):
            return "".join(walk(part, depth + 1) for part in node.parts)
        if isinstance(node, Choice):
            if node.optional and rng.random() < 0.5:
                return ""
            weights = [1 / index for index in range(1, len(node.options) + 1)]
            return walk(rng.choices(node.options, weights)[0], depth + 1)
        if isinstance(node, Permutation):
            return " ".join(walk(part, depth + 1) for part in rng.sample(node.parts, len(node.parts)))
        if isinstance(node, Rule):
            return walk(_rule(rules, node.name), depth + 1)
        said, slots[node.slot] = values(node.list, rng)
        return said

    return re.sub(r"\s+", " ", walk(node, 0)).strip(), slots


def _rule(rules: Mapping[str, Node], name: str) -> Node:
    try:
        return rules[name]
    except KeyError:
        raise GrammarError(f"no expansion rule <{name}>") from None
