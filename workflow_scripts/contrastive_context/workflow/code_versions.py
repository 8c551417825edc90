"""A version for code: what an entry point imports, hashed without comments, docstrings and layout."""

import ast
import contextlib
import functools
import hashlib
import io
import json
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastive_context.core.artifacts import sha256_file, write_json
from contrastive_context.core.errors import UserError
from contrastive_context.core.provenance import read_settings

PACKAGE = "contrastive_context"
#: Modules that shape messages, and when a step stops, but no artifact.
_IGNORED = {
    f"{PACKAGE}.core.cli",
    f"{PACKAGE}.core.errors",
    f"{PACKAGE}.core.provenance",
    f"{PACKAGE}.workflow.code_versions",
    f"{PACKAGE}.config.safeguards",
}
_IGNORED |= {f"{PACKAGE}.training.{name}" for name in ("interruptions", "lease", "watchdog")}
#: What a step loads by a name in its settings, which its imports don't show: step → (package, path of the name).
_LOADED_BY_NAME = {
    "build_corpus": (
        (f"{PACKAGE}.corpora", "corpus.kind"),
        (f"{PACKAGE}.corpora.catalogues", "corpus.in_domain.format"),
        (f"{PACKAGE}.corpora.catalogues", "corpus.out_of_domain.format"),
    ),
    "score_execution": ((f"{PACKAGE}.corpora", "corpus.kind"),),
}
#: Kinds whose module has another name.
_MODULES = {"hub": "hub_datasets"}
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}


class CodeVersions:
    """Versions of entry points.

    Args:
        scripts: the folder that holds the entry points and the package.
        cache: JSON file in which the token hash and the imports of each source file are kept, by its SHA-256. Hashing
            the tokens of the whole package takes half a second; every SLURM job parses the workflow again.
    """

    def __init__(self, scripts: Path, cache: Path) -> None:
        self._scripts = Path(scripts)
        self._cache = Path(cache)
        self._known: dict[str, dict] = {}
        # It may be missing, torn or something else.
        with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
            known = json.loads(self._cache.read_text(encoding="utf-8")).items()
            self._known = {content: entry for content, entry in known if _is_description(entry)}
        self._saved = len(self._known)
        self._files: dict[str, dict] = {}
        self._versions: dict[tuple[str, ...], str] = {}
        self._module_file = functools.cache(self._find_module)

    def of(self, script: str, settings: Mapping[str, Any] | None = None) -> str:
        """Return the version of ``<script>.py``: 16 hexadecimal digits that change with the code it imports.

        Args:
            script: the entry point.
            settings: its settings, for the modules that it loads by a name in them.
        """
        modules = loaded_by_name(script, settings or {})
        key = (script, *modules)
        if key not in self._versions:
            seen: dict[str, str] = {}
            todo = [self._scripts / f"{script}.py"]
            todo += [file for module in modules if (file := self._module_file(module)) is not None]
            while todo:
                path = todo.pop()
                name = str(path.relative_to(self._scripts))
                if name in seen:
                    continue
                entry = self._describe(path)
                seen[name] = entry["tokens"]
                todo += [file for module in entry["imports"] if (file := self._module_file(module)) is not None]
            digest = hashlib.sha256(json.dumps(sorted(seen.items())).encode())
            self._versions[key] = digest.hexdigest()[:16]
            self._save()
        return self._versions[key]

    def _describe(self, path: Path) -> dict:
        name = str(path)
        if name not in self._files:
            content = sha256_file(path)
            if content not in self._known:
                source = path.read_text(encoding="utf-8")
                self._known[content] = {"tokens": token_hash(source), "imports": sorted(imported_modules(source))}
            self._files[name] = self._known[content]
        return self._files[name]

    def _find_module(self, module: str) -> Path | None:
        if module in _IGNORED:
            return None
        base = self._scripts.joinpath(*module.split("."))
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
        return None

    def _save(self) -> None:
        """Keep what was learned; where that can't be written, every parse computes it again."""
        if len(self._known) > self._saved:
            with contextlib.suppress(OSError, UserError):
                write_json(self._cache, self._known)
            self._saved = len(self._known)


def code_of(settings: str, step: str, cache: str | Path) -> str:
    """Return the code version that a step's ``--settings`` name, or the present one where it was called by hand.

    Args:
        settings: the argument, JSON or ``@FILE``.
        step: name of the entry point.
        cache: folder in which the versions of unchanged code may be kept.
    """
    if given := read_settings(settings).get("code_version"):
        return given
    return CodeVersions(Path(__file__).parents[2], Path(cache) / "code_versions.json").of(step)


def _is_description(entry: Any) -> bool:
    known = entry if isinstance(entry, dict) else {}
    imports = known.get("imports")
    whole = isinstance(imports, list) and all(isinstance(module, str) for module in imports)
    return whole and isinstance(known.get("tokens"), str)


def loaded_by_name(script: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the modules that an entry point loads by a name in its settings."""
    modules = []
    for package, path in _LOADED_BY_NAME.get(script, ()):
        value: Any = settings
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            modules.append(f"{package}.{_MODULES.get(value, value)}")
    return modules


def imported_modules(source: str) -> set[str]:
    """Return the modules of this package that a source text imports, at its top or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            found.add(node.module)
            # `from package.corpora import lexicon` names a module, not an attribute; a wrong guess finds no file.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@functools.cache
def token_hash(source: str) -> str:
    """Hash a source text's tokens without comments, docstrings and layout.

    Tokens are used because the output of ``ast.dump`` varies with the Python version.
    """
    digest = hashlib.sha256()
    line: list[tokenize.TokenInfo] = []

    def flush() -> None:
        # A logical line that is one string is a docstring (or a string with no effect).
        if not all(token.type == tokenize.STRING for token in line):
            for token in line:
                digest.update(token.string.encode() + b"\0")
            digest.update(b"\n")
        line.clear()

    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            digest.update(b"\1" if token.type == tokenize.INDENT else b"\2")
        elif token.type == tokenize.NEWLINE:
            flush()
        elif token.type not in _LAYOUT:
            line.append(token)
    flush()
    return digest.hexdigest()[:16]
