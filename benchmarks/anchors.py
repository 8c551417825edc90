"""How many targets of real translations get an anchor, by the kind of anchors: corpora of the translation overlay."""

import subprocess
import sys
from pathlib import Path

import measuring

OVERLAYS = ("config.yaml", "envs/overlays/quickstart.yaml", "envs/overlays/translation.yaml")
CORPORA = Path("results/translation/corpus")

KINDS = ("shared_words", "aligned_words")


def main() -> None:
    """Measure and record."""
    import pandas as pd

    from contrastive_context.contexts.anchors import anchor_finder

    parser = measuring.parser(__doc__)
    parser.add_argument("--shown", type=int, default=0, help="anchors to print of each, to be read by eye")
    args = measuring.parse(parser)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *OVERLAYS, "--until", "build_corpus"]
    subprocess.run([*command, "--quiet", "all"], check=True)
    rows = []
    for folder in sorted(CORPORA.iterdir()):
        splits = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "arrivals", "test")}
        known = pd.concat([splits["train"], splits["arrivals"]])
        test = splits["test"]
        for kind in KINDS:
            find = anchor_finder(kind, known["source"].tolist(), known["target"].tolist())
            found = [list(find(source, target)) for source, target in zip(test["source"], test["target"], strict=True)]
            share = 100 * sum(map(bool, found)) / len(found)
            rows.append(measuring.Row(f"{folder.name}: targets with an anchor of {kind}", share, f"% of {len(test)}"))
            if kind == "aligned_words":
                for anchors, (_, pair) in [*zip(found, test.iterrows(), strict=True)][: 4 * args.shown]:
                    for anchor in anchors[:1]:
                        print(f"{anchor.key} → {anchor.target_text} | {pair['source'][:70]} | {pair['target'][:70]}")
    measuring.record(args, rows, {}, {})


if __name__ == "__main__":
    main()
