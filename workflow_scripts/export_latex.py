"""Write the tables as LaTeX (booktabs), beside their CSV."""

import argparse
from pathlib import Path

from contrastive_context import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    for name in ("scores", "probes", "findings"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"table of {name} (Parquet)")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for {scores,probes,findings}.tex")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.evaluation import latex
    from contrastive_context.figures.style import FigureSettings

    settings = cli.load_settings(args.settings, FigureSettings)
    inputs = {"scores": args.scores, "probes": args.probes, "findings": args.findings}
    outputs = []
    for name, path in inputs.items():
        text = getattr(latex, name)(artifacts.read_parquet(path, ("task", "model", "metric")), settings)
        outputs.append(args.out_dir / f"{name}.tex")
        with artifacts.atomic_path(outputs[-1]) as temporary:
            temporary.write_text(f"% needs \\usepackage{{booktabs}}\n{text}", encoding="utf-8")
    provenance.write_provenance(*outputs, inputs=inputs, settings=args.settings, started=args.started)


if __name__ == "__main__":
    cli.run(main, arguments())
