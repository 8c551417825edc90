"""What earlier runs of a job that asks a model have left: answers so far, and parts that are done."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.journal import Journal, fingerprint
from contrastive_context.inference.settings import InferenceSettings
from contrastive_context.models.adapters import CONFIG, WEIGHTS

_RESULT = "result"


class Part:
    """What a job does with one state of the model: the base's, or one adapter's.

    Args:
        path: of its files, without suffix; None to keep nothing.

    Attributes:
        journal: its answers so far; None to keep none.
        result: what an earlier run ended with, None if none did.
    """

    def __init__(self, path: Path | None) -> None:
        self.journal = Journal(Path(f"{path}.jsonl")) if path else None
        self._done = Journal(Path(f"{path}.{_RESULT}.jsonl")) if path else None
        self.result: Any = self._done.get(_RESULT) if self._done is not None else None

    def finish(self, result: Any) -> Any:
        """Keep what the part ended with (a JSON value) instead of its single answers, and return it."""
        self.result = result
        if self._done is not None and self.journal is not None:
            self._done.add({_RESULT: result})
            self.journal.remove()
        return result

    @property
    def files(self) -> set[Path]:
        """Where it keeps what."""
        return {journal.path for journal in (self.journal, self._done) if journal is not None}


class Kept:
    """The parts of a job, each by all that its answers depend on: a new checkpoint leaves those of the others.

    Args:
        args: of the entry point: ``state_dir``, without which nothing is kept.
        settings: the step's.
        code: version of the entry point's code.
        inputs: name → file, adapters apart; None for one that the job doesn't have.
    """

    def __init__(
        self, args: argparse.Namespace, settings: InferenceSettings, code: str, inputs: Mapping[str, str | None]
    ) -> None:
        self._folder = Path(args.state_dir) if args.state_dir else None
        self._depends_on = canonical_json(settings.model_dump(mode="json")), code
        self._inputs = inputs
        self._files: set[Path] = set()

    def part(self, step: int, adapter: Path | None) -> Part:
        """Return the part of the model at a training step; ``adapter`` is its folder, None for the base."""
        if self._folder is None:
            return Part(None)
        adapter_files = {name: adapter / name for name in (WEIGHTS, CONFIG)} if adapter else {}
        version = fingerprint(*self._depends_on, files={**self._inputs, **adapter_files})
        part = Part(self._folder / f"{version}-step{step}")
        self._files |= part.files
        return part

    def tidy(self) -> None:
        """Remove what was kept for other settings, inputs or adapters than those asked for."""
        if self._folder is not None and self._folder.is_dir():
            for path in self._folder.iterdir():
                if path not in self._files:
                    path.unlink(missing_ok=True)
