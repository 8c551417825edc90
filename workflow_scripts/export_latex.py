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

    from contrastive_context.tables import latex
    from contrastive_context.tables.settings import PresentationSettings

    settings = cli.load_settings(args.settings, PresentationSettings)
    inputs = {"scores": args.scores, "probes": args.probes, "findings": args.findings}
    signatures = pd.read_csv(args.signatures) if args.signatures else pd.DataFrame()
    header = "% needs \\usepackage{booktabs}\n"
    outputs = []
    for name, path in inputs.items():
        text = getattr(latex, name)(artifacts.read_parquet(path, ("task", "model", "metric")), settings)
        outputs.append(args.out_dir / f"{name}.tex")
        with artifacts.atomic_path(outputs[-1]) as temporary:
            quoted = signatures.itertuples(index=False) if name == "scores" else ()
            notes = "".join(f"% {task}, {metric}: {signature}\n" for task, metric, signature in quoted)
            temporary.write_text(header + notes + text, encoding="utf-8")
    inputs["signatures"] = args.signatures
    provenance.write_provenance(*outputs, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
