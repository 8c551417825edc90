"""Configuration files: mistakes that no longer show once they are read, and the record that a run leaves."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from contrastive_context.artifacts import atomic_path
from contrastive_context.config.study import Study
from contrastive_context.errors import UserError

# The parser in C, where PyYAML has it, is ten times as fast.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_files(paths: Iterable[str | Path]) -> None:
    """Look for what is lost once the files are read: where YAML is broken, and keys that stand twice in one mapping.

    Args:
        paths: configuration files; those that don't exist are passed over, as Snakemake tells of them.

    Raises:
        UserError: lists every problem with its file and line.
    """
    if problems := [problem for path in map(Path, paths) if path.is_file() for problem in _problems(path)]:
        raise UserError("\n".join(problems))


def _problems(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError as error:
        yield f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8"
    except yaml.MarkedYAMLError as error:
        number = error.problem_mark.line
        line = [*text.splitlines(), ""][number]
        yield f"{path}:{number + 1}: not valid YAML: {error.problem}{_hint(line, error.problem)}"
    except yaml.YAMLError as error:
        yield f"{path}: not valid YAML: {error}"
    else:
        if isinstance(node, yaml.MappingNode):
            yield from (f"{path}{problem}" for problem in _duplicates(node, "", set()))
        else:
            yield f"{path}: must be a mapping of keys to values, as in 'run: mine'"


def _hint(line: str, problem: str) -> str:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "; indent with spaces, not with tabs"
    if "mapping values" in problem:
        return "; put text with a colon in quotes, and the same number of spaces before keys of one level"
    return ""


def _duplicates(node: yaml.Node, where: str, seen: set[int]) -> Iterator[str]:
    # An alias is the node of its anchor, which is looked at once.
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _duplicates(item, f"{where}{place}.", seen)
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if (name := str(key.value)) in lines:
            yield f":{line}: {where}{name} stands twice, before in line {lines[name]}; YAML would keep only the last"
        lines[name] = line
        yield from _duplicates(value, f"{where}{name}.", seen)


def write_effective(study: Study, path: str | Path) -> None:
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
