"""The source files of a folder, and what is known of them, kept between runs."""

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path

from contrastive_context.core.errors import UserError
from contrastive_context.core.json_types import JsonDict
from contrastive_context.workflow.code_versions.declared import PACKAGE


class Files:
    """The entry points and the package in a folder, each module described once.

    Two things are kept, without which everything is found out again: the versions, as long as no file changes, and what
    each module defines, as long as that file doesn't. Every SLURM job parses the workflow, and describing the whole
    package takes more than a second.

    Args:
        scripts: the folder that holds the entry points and the package.
        cache: JSON file for the versions; the definitions are kept beside it.
    """

    def __init__(self, scripts: Path, cache: Path) -> None:
        self._scripts = scripts
        self._cache = cache
        self._definitions = cache.with_name("code_definitions.json")
        self.find = functools.cache(self._find)
        self.describe = functools.cache(self._describe)
        self._learned = False

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """Path below the folder → SHA-256 of every source file, and of other files in the package."""
        paths = [*self._scripts.glob("*.py")]
        for folder, names, files in os.walk(self._scripts / PACKAGE):
            names[:] = [name for name in names if not name.startswith((".", "__pycache__"))]
            paths += [Path(folder, name) for name in files if not name.startswith(".")]
        prefix = len(f"{self._scripts}/")
        return {str(path)[prefix:]: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}

    @functools.cached_property
    def state(self) -> str:
        """A hash of all files."""
        return hashlib.sha256(str(self.hashes).encode()).hexdigest()

    @functools.cached_property
    def _roots(self) -> frozenset[str]:
        """Names of the entry points and of the package."""
        return frozenset((PACKAGE, *(path.removesuffix(".py") for path in self.hashes if "/" not in path)))

    def _find(self, module: str) -> str:
        """Return the path of a module below the folder; empty if there is none."""
        base = module.replace(".", "/")
        return next((path for path in (f"{base}.py", f"{base}/__init__.py") if path in self.hashes), "")

    def _describe(self, module: str) -> JsonDict:
        """Return what a module defines, as :func:`~contrastive_context.workflow.code_versions.definitions.describe`.

        Raises:
            UserError: it isn't Python, or not UTF-8.
        """
        path = self.find(module)
        key = f"{path} {self.hashes[path]} {_analysis()}"
        with contextlib.suppress(KeyError, TypeError, ValueError):
            kept: JsonDict = json.loads(self._described[key])
            return kept
        from contrastive_context.workflow.code_versions.definitions import describe  # not needed while nothing changes

        try:
            source = (self._scripts / path).read_text(encoding="utf-8")
            found = describe(source, module, path.endswith("__init__.py"), self._roots)
        except (SyntaxError, ValueError) as error:
            raise UserError(f"{self._scripts / path}: can't be read as Python ({error}); mend it") from error
        self._described[key] = json.dumps(found)
        self._learned = True
        return found

    @functools.cached_property
    def _described(self) -> dict[str, str]:
        """Path and hash of a module, and of the analysis → what it defines, as JSON; of files as they are."""
        now = {f"{path} {digest} {_analysis()}" for path, digest in self.hashes.items()}
        return {key: text for key, text in _read(self._definitions).items() if key in now}

    @functools.cached_property
    def _versions(self) -> dict[str, str]:
        versions = _read(self._cache).get(f"{self.state} {_analysis()}")
        return versions if isinstance(versions, dict) else {}

    def version(self, key: str) -> str | None:
        """Return a version that was kept for the files as they are."""
        found = self._versions.get(key)
        return found if isinstance(found, str) else None

    def keep(self, key: str, version: str) -> None:
        """Keep a version, and what was learned on the way; where that can't be written it is found out again."""
        self._versions[key] = version
        _write(self._cache, {f"{self.state} {_analysis()}": self._versions})
        if self._learned:
            _write(self._definitions, self._described)
            self._learned = False


def _read(path: Path) -> JsonDict:
    """Return a file's object; an empty one if it can't be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _write(path: Path, content: JsonDict) -> None:
    """Write a file at once, if possible; without waiting for the disk, since what is lost costs a second."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            os.close(handle)
            Path(name).write_text(json.dumps(content), encoding="utf-8")
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


@functools.cache
def _analysis() -> str:
    """Return a hash of the analysis itself, whose findings another version of it can't use."""
    texts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]
