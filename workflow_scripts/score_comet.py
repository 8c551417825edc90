"""Score segments with COMET, in its own environment: envs/comet.yaml, or .venv-comet (`make comet-env`)."""

import argparse
import importlib.metadata
import os
import sys
from pathlib import Path

from contrastive_context.core import cli, provenance
from contrastive_context.core.errors import UserError
from contrastive_context.scoring.settings import ScoreCometSettings

#: Taken where the running Python has no COMET, as it has under Snakemake's --sdm conda.
PYTHON = Path(__file__).resolve().parents[1] / ".venv-comet/bin/python"


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--segments", required=True, help="distinct triples (JSON lines)")
    parser.add_argument("--model", nargs="?", help="record of the model's download; none for a local checkpoint")
    parser.add_argument("--encoder", nargs="?", help="record of its encoder's download; none for a local folder")
    parser.add_argument("--state-dir", required=True, help="folder in which scores are kept for later runs")
    parser.add_argument("--out", required=True, help="segment scores (JSON lines)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.scoring import comet

    settings = cli.load_settings(args.settings, ScoreCometSettings)  # a typo is told before anything is asked for
    if not list(importlib.metadata.distributions(name="unbabel-comet")):
        if not PYTHON.is_file():
            raise UserError("COMET isn't installed: run `make comet-env` once, or snakemake with --sdm conda")
        # The same process goes on, so that signals and resources stay the job's. Where the user's PYTHONPATH leads,
        # there may be other versions of what COMET needs.
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        os.execve(PYTHON, [str(PYTHON), *sys.argv], environment)

    from contrastive_context.core import devices
    from contrastive_context.core.journal import Journal, fingerprint
    from contrastive_context.scoring import segments

    devices.require_gpu(settings.model.device, f"metrics.{settings.metric}")
    triples = segments.read_segments(args.segments)
    files = comet.locate(settings, args.model, args.encoder)
    name = Path(args.segments).stem
    # A score depends on the model and the triple, not on the systems: those of an earlier run are used again.
    journal = Journal(
        Path(args.state_dir) / f"{name}.{settings.metric}-{fingerprint(args.settings, files.sha256, files={})}"
    )
    known = sum(id_ in journal for id_ in triples)
    model = None
    if known < len(triples):
        devices.set_up_torch(settings.model.device, settings.model.threads)
        model = comet.load(files, settings.metric)
    scores = comet.score(model, triples, settings.model, journal, f"{settings.metric} {name}")
    segments.write_scores(args.out, scores)
    cli.log.info("%d segments: %d scored now, %d known from before", len(triples), len(triples) - known, known)
    provenance.write_provenance(
        args.out,
        inputs={"segments": args.segments, "model": args.model, "encoder": args.encoder},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
