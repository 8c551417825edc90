"""Configuration files: mistakes that no longer show once they are read, and the record that a run leaves."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from contrastive_context.core.artifacts import atomic_path
from contrastive_context.core.errors import UserError

if TYPE_CHECKING:
    from contrastive_context.config.study import Study

# The parser in C, where PyYAML has it, is ten times as fast.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Tag → how text looks that YAML takes for something else, and what it is taken for.
_BASE_60 = (re.compile(".*:.*"), "a number to base 60; give minutes as a whole number")
_MISREAD = {
    "tag:yaml.org,2002:bool": [(re.compile("yes|no|on|off", re.IGNORECASE), "a switch; write true or false")],
    "tag:yaml.org,2002:int": [
        (re.compile("[-+]?0[0-7_]+"), "a number to base 8; write it without the leading 0"),
        _BASE_60,
    ],
    "tag:yaml.org,2002:float": [_BASE_60],
}


def check_files(paths: Iterable[str | Path]) -> None:
    """Look for what is lost once the files are read: where YAML is broken, keys that stand twice in one mapping, and
    text that YAML takes for switches and numbers.

    Raises:
        UserError: lists every problem with its file and line.
    """
    distinct = dict.fromkeys(Path(path).absolute() for path in paths)
    if problems := [problem for path in distinct for problem in _problems(path)]:
        raise UserError("\n".join(problems))


def first_file(checkout: str | Path) -> Path:
    """Return the configuration that all others are merged over: config.yaml where Snakemake runs, else the checkout's.

    Args:
        checkout: the folder that has the Snakefile.
    """
    here, there = Path("config.yaml"), Path(checkout, "config.yaml")
    return there if there.is_file() and not here.is_file() else here


def shown(path: str | Path) -> str:
    """Return a path as messages show it: from here, if it is below here."""
    path, here = Path(path).absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def compose(path: str | Path) -> yaml.Node | None:
    """Read a file as YAML nodes, which know their lines.

    Raises:
        OSError, UnicodeDecodeError, yaml.YAMLError: it can't be read.
    """
    return yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=_Loader)


def _problems(path: Path) -> Iterator[str]:
    name = shown(path)
    try:
        text = path.read_text(encoding="utf-8")
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            yield f"{name}: must be a mapping of keys to values, as in 'run: mine'"
            return
        problems = list(_in_nodes(node, "", {}))
        loader.construct_document(node)  # mistakes in dates, tags and merges show only now
    except OSError as error:
        yield f"{name}: {_UNREADABLE.get(type(error), error.strerror)}"
    except UnicodeDecodeError as error:
        yield f"{name}: not UTF-8 text (byte {error.start}); save it as UTF-8"
    except yaml.MarkedYAMLError as error:
        number = error.problem_mark.line if error.problem_mark else 0
        line = [*text.splitlines(), ""][number]
        yield f"{name}:{number + 1}: not valid YAML: {error.problem}{_hint(line, error.problem or '')}"
    except (yaml.YAMLError, ValueError) as error:
        yield f"{name}: not valid YAML: {error}"
    else:
        yield from (f"{name}{problem}" for problem in problems)


_UNREADABLE = {
    FileNotFoundError: "no such file",
    IsADirectoryError: "this is a folder; name a file in it",
    PermissionError: "may not be read",
}


def _hint(line: str, problem: str) -> str:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "; indent with spaces, not with tabs"
    if "mapping values" in problem:
        return "; put text with a colon in quotes, and the same number of spaces before keys of one level"
    return ""


def _in_nodes(node: yaml.Node, where: str, done: dict[int, bool]) -> Iterator[str]:
    """Yield ':line: key path and what is wrong' for what stands below a node.

    Args:
        node: to look at.
        where: its key path, with a dot at its end.
        done: nodes that were met → whether all below them was looked at.
    """
    # An alias is the node of its anchor, which is looked at once.
    if id(node) in done:
        if not done[id(node)]:
            yield f":{node.start_mark.line + 1}: {where.removesuffix('.')} is an alias of what it stands in"
        return
    done[id(node)] = False
    if isinstance(node, yaml.ScalarNode):
        yield from _misread(node, where)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _in_nodes(item, f"{where}{index}.", done)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if (name := str(key.value)) in lines:
                yield (
                    f":{line}: {where}{name} stands twice, before in line {lines[name]}; YAML would keep only the last"
                )
            lines[name] = line
            yield from _misread(key, f"{where}{name}.")
            yield from _in_nodes(value, f"{where}{name}.", done)
    done[id(node)] = True


def _misread(node: yaml.Node, where: str) -> Iterator[str]:
    for looks, taken_for in _MISREAD.get(node.tag, ()):
        if looks.fullmatch(node.value):
            yield (
                f":{node.start_mark.line + 1}: {where.removesuffix('.')}: YAML takes {node.value} for {taken_for}, "
                f"or put text in quotes"
            )


def write_effective(study: "Study", path: str | Path) -> None:
    """Write the whole validated configuration, defaults included, as YAML that serves as a configuration file again.

    Raises:
        UserError: the disk is full or the folder can't be written.
    """
    with atomic_path(path) as temporary:
        text = yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
        temporary.write_text(
            f"# The configuration of this run, overlays and defaults included: snakemake --configfile {path}\n{text}",
            encoding="utf-8",
        )
