"""Where the keys of a merged configuration stand."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import yaml

from contrastive_context.config.files import compose, shown
from contrastive_context.core.json_types import JsonMapping

_COMMAND_LINE = "--config"
_READER = yaml.constructor.SafeConstructor()


class Positions:
    """The files of a configuration, and what was given on the command line.

    Args:
        files: in the order in which they are merged; each can be read (see :func:`~.files.check_files`).
        options: what ``--config`` gives, merged last.
    """

    def __init__(self, files: Sequence[str | Path] = (), options: JsonMapping | None = None) -> None:
        self._files, self._options = files, options

    def tell(self, problem: str) -> str:
        """Put the file and the line, or ``--config``, before a problem that begins with a key path.

        It is the last file that has the key, or as much of its path as stands anywhere; where that is nowhere the
        problem stays as it is.
        """
        furthest, found = 0, ""
        for name, node in self._nodes:
            length, line = _follow(node, problem)
            if 0 < length >= furthest:
                furthest, found = length, f"{name}: " if name == _COMMAND_LINE else f"{name}:{line}: "
        return found + problem

    @cached_property
    def _nodes(self) -> list[tuple[str, yaml.Node]]:
        nodes = [(shown(path), compose(path)) for path in self._files]
        if self._options:
            nodes.append((_COMMAND_LINE, yaml.compose(json.dumps(dict(self._options)))))  # JSON is YAML
        return [(name, node) for name, node in nodes if node is not None]


def _follow(node: yaml.Node, text: str) -> tuple[int, int]:
    """Return how many characters at the beginning of a text are keys below a node, and the line of the last of them."""
    length = line = 0
    while True:
        # Keys may hold dots themselves: the longest one that fits is meant.
        fitting = [child for child in _children(node) if re.match(rf"{re.escape(child[0])}[.:]", text[length:])]
        if not fitting:
            return length, line
        name, key, node = max(fitting, key=lambda child: len(child[0]))
        length, line = length + len(name) + 1, key.start_mark.line + 1


def _children(node: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield the name, the node to point at and the node below of each entry; own keys before those merged by <<."""
    if isinstance(node, yaml.SequenceNode):
        yield from ((str(index), item, item) for index, item in enumerate(node.value))
    elif isinstance(node, yaml.MappingNode):
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                # As it is read, not as it is spelled: 1.50 is 1.5.
                yield str(_READER.construct_object(key)), key, value
        for other in merged:
            yield from _children(other)
