"""What an interrupted job of a model has answered so far."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from contrastive_context.core.canonical import canonical_json
from contrastive_context.core.journal import Journal, fingerprint
from contrastive_context.inference.settings import InferenceSettings


def open_journal(
    args: argparse.Namespace, settings: InferenceSettings, inputs: Mapping[str, str | None], code: str, part: str
) -> Journal | None:
    """Return what an interrupted job did with this model, these settings, inputs and code; None without state.

    Args:
        args: of the entry point: ``state_dir`` and ``settings``.
        settings: the same settings, read.
        inputs: name → file, or None for one that the job doesn't have.
        code: version of the entry point's code.
        part: of the job, each of which has a journal of its own.
    """
    if not args.state_dir:
        return None
    folder = Path(args.state_dir)
    version = fingerprint(canonical_json(settings.model_dump(mode="json")), code, files=inputs)
    return Journal(folder / f"{version}-{part}.jsonl")
