"""Write the tables as LaTeX (booktabs), beside their CSV."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    for name in ("scores", "probes", "findings"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"table of {name} (Parquet)")
    parser.add_argument(
        "--signatures", type=Path, help="signatures of the metrics (CSV), quoted in the table of scores"
    )
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for {scores,probes,findings}.tex")
    return parser


def main(args: argparse.Namespace) -> None:
    import pandas as pd

    from contrastive_context.tables import latex, presentation
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    inputs = {"scores": args.scores, "probes": args.probes, "findings": args.findings}
    frames = {name: artifacts.read_parquet(path, ("task", "model", "metric")) for name, path in inputs.items()}
    signatures = pd.read_csv(args.signatures).itertuples(index=False) if args.signatures else ()
    notes = [f"{task}, {metric}: {signature}" for task, metric, signature in signatures]
    outputs = [args.out_dir / f"{name}.tex" for name in frames]
    latex.write(outputs[0], presentation.score_tables(frames["scores"], settings), notes)
    latex.write(outputs[1], presentation.probe_tables(frames["probes"], settings))
    findings = presentation.findings_tables(frames["findings"], settings)
    latex.write(outputs[2], [entry.table() for entry in findings])
    inputs["signatures"] = args.signatures
    provenance.write_provenance(*outputs, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
