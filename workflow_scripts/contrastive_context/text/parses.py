"""Parses as trees, in the two notations of the corpora, and what is compared of them.

``HassTurnOn(area='kitchen', name='lamp')`` (home-assistant-intents) and MTOP's decoupled form,
``[IN:CREATE_REMINDER [SL:TODO [IN:GET_TODO [SL:TODO call mom ] ] ] ]`` (Li et al. 2021).
"""

import re
from collections import Counter
from typing import NamedTuple

from contrastive_context.text.normalising import composed

_PIECES = re.compile(r"\[(?:IN|SL):[^\s\[\]]+|\]|[^\s\[\]]+|\[")
_CALL = re.compile(r"(\w+)\((.*)\)")
_MAX_DEPTH = 100  # of brackets; trees are compared and walked by recursion, and answers of a model may hold anything
_ARGUMENT = re.compile(r"\s*(\w+)='(.*?)'\s*(?:,(?=\s*\w+=')|$)")


class ParseError(ValueError):
    """A text is no parse; the message says why, in words that fit a list of reasons."""


class Node(NamedTuple):
    """An intent (``IN:…``) or a slot (``SL:…``): its label, its words, and what it holds, in normal order."""

    label: str
    words: str
    children: tuple["Node", ...]


def parse(text: str) -> Node:
    """Read a parse into its normal form: NFC, single blanks, the slots of an intent sorted.

    Raises:
        ParseError: brackets don't match or are nested too deeply, an intent and a slot don't alternate, or it is
            neither notation.
    """
    text = " ".join(composed(text).split())
    return _brackets(text) if text.startswith("[") else _call(text)


def _call(text: str) -> Node:
    if not (match := _CALL.fullmatch(text)):
        raise ParseError("no parse")
    name, inside = match.groups()
    slots, position = [], 0
    while position < len(inside):
        if not (argument := _ARGUMENT.match(inside, position)):
            raise ParseError("malformed slots")
        slots.append(Node(f"SL:{argument[1]}", argument[2], ()))
        position = argument.end()
    return Node(f"IN:{name}", "", tuple(sorted(slots)))


def _brackets(text: str) -> Node:
    open_nodes: list[tuple[str, list[str], list[Node]]] = []
    root = None
    for piece in _PIECES.findall(text):
        if root is not None:
            raise ParseError("text behind the tree")
        if piece == "[":
            raise ParseError("a bracket without IN: or SL:")
        if len(open_nodes) > _MAX_DEPTH:
            raise ParseError("nested too deeply")
        if piece[0] == "[":
            label = piece[1:]
            wanted = "SL:" if open_nodes and open_nodes[-1][0].startswith("IN:") else "IN:"
            if not label.startswith(wanted):
                raise ParseError(f"{label[:3]} where {wanted} belongs")
            open_nodes.append((label, [], []))
        elif piece == "]":
            if not open_nodes:
                raise ParseError("brackets don't match")
            label, words, children = open_nodes.pop()
            node = Node(label, " ".join(words), tuple(sorted(children)))
            if open_nodes:
                open_nodes[-1][2].append(node)
            else:
                root = node
        elif not open_nodes:
            raise ParseError("text before the tree")
        else:
            open_nodes[-1][1].append(piece)
    if root is None:
        raise ParseError("brackets don't match")
    return root


def tree_match(output: str, reference: str) -> float:
    """1 if both are the same tree in normal form, else 0. What is no parse matches nothing.

    Raises:
        ParseError: the reference is no parse.
    """
    gold = parse(reference)
    try:
        return float(parse(output) == gold)
    except ParseError:
        return 0.0


def intent(text: str) -> str:
    """Return the outermost intent, also of a parse that is malformed further on."""
    if text.lstrip().startswith("["):
        return re.split(r"[\s\[\]]", text.strip()[1:], maxsplit=1)[0]
    return text.split("(", 1)[0].strip()


def slots(node: Node, path: tuple[str, ...] = ()) -> Counter[tuple[tuple[str, ...], str]]:
    """Count a tree's slots as (names of the slots from the outermost one, words); intents don't matter."""
    found: Counter[tuple[tuple[str, ...], str]] = Counter()
    for child in node.children:
        here = (*path, child.label) if child.label.startswith("SL:") else path
        if child.label.startswith("SL:"):
            found[here, child.words] += 1
        found += slots(child, here)
    return found
