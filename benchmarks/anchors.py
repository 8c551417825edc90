"""Anchors in real translations, the translation overlay's: how many targets have one by kind, and how many are right.

Whether one is right was judged by one reader, a language model, from the two sentences, in anchors_judged.tsv:
``right`` if the target's word translates the source's word in these sentences, ``partly`` if a part of the translation
is missing (such as the verb of "सेव करें", save) or the target's word also translates another word of the source, else
``wrong``. ``grammar`` is "yes" where the source's word is a pronoun, preposition, conjunction, auxiliary, negation or
question word.
"""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import measuring

if TYPE_CHECKING:
    import pandas as pd

    from contrastive_context.contexts.anchors import Finder

OVERLAYS = ("config.yaml", "envs/overlays/quickstart.yaml", "envs/overlays/translation.yaml")
CORPORA = Path("results/translation/corpus")
JUDGED = Path(__file__).with_name("anchors_judged.tsv")

KINDS = ("shared_words", "aligned_words")
SAMPLED = 50  # anchors of a language
VERDICTS = ("right", "partly", "wrong")
SHOWN = ("language", "source word", "target word", "source sentence", "target sentence")
Shown = tuple[str, ...]  # the columns of SHOWN


def sample(language: str, find: "Finder", test: "pd.DataFrame") -> list[Shown]:
    """Draw anchors in domain, one per target at most.

    The text out of domain is under the GPL, so its sentences can't be kept among the judgements.
    Targets and anchors are drawn by hashes of their texts, so that most of a sample stays when a change of the code
    adds or removes anchors.
    """
    from contrastive_context.corpora.dividing import uniform

    drawn: list[Shown] = []
    test = test.loc[test["test_set"] == "in_domain"]
    pairs = list(zip(test["source"], test["target"], strict=True))
    for source, target in sorted(pairs, key=lambda pair: uniform("anchors judged/" + "\t".join(pair))):
        anchors = list(find(source, target))
        if anchors and len(drawn) < SAMPLED:
            anchor = min(anchors, key=lambda anchor: uniform("anchors judged/" + "\t".join(anchor.key)))
            drawn.append((language, anchor.source_text, anchor.target_text, source, target))
    return drawn


def judgements() -> dict[Shown, dict[str, str]]:
    """Return the kept judgements by what was shown to the reader."""
    with JUDGED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(row["verdict"] in VERDICTS and row["grammar"] in ("", "yes") for row in rows)
    return {tuple(row[column] for column in SHOWN): row for row in rows}


def precision(name: str, drawn: list[Shown], judged: dict[Shown, dict[str, str]]) -> list[measuring.Row]:
    """Return what share of the judged anchors is right, partly or wrong; print those that nobody judged."""
    unjudged = [shown for shown in drawn if shown not in judged]
    for shown in unjudged:
        print("not judged:", *shown, sep="\t")
    if unjudged:
        print(f"{name}: {len(unjudged)} of {len(drawn)} anchors aren't judged and don't count")
    rows = [judged[shown] for shown in drawn if shown in judged]
    verdicts, unit = Counter(row["verdict"] for row in rows), f"% of {len(rows)}"
    shares = {f"anchors of aligned_words that are {verdict}": verdicts[verdict] for verdict in VERDICTS}
    shares["anchors of aligned_words at a word of grammar"] = sum(row["grammar"] == "yes" for row in rows)
    return [
        measuring.Row(f"{name}: {measure}", 100 * count / max(1, len(rows)), unit) for measure, count in shares.items()
    ]


def main() -> None:
    """Measure and record."""
    import pandas as pd

    from contrastive_context.contexts.anchors import anchor_finder

    parser = measuring.parser(__doc__.partition("\n")[0])
    parser.add_argument("--sample", action="store_true", help="print the sampled anchors with their verdicts")
    args = measuring.parse(parser)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", *OVERLAYS, "--until", "build_corpus"]
    subprocess.run([*command, "--quiet", "all"], check=True)
    rows, judged = [], judgements()
    for folder in sorted(CORPORA.iterdir()):
        splits = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "arrivals", "test")}
        known = pd.concat([splits["train"], splits["arrivals"]])
        test = splits["test"]
        for kind in KINDS:
            find = anchor_finder(kind, known["source"].tolist(), known["target"].tolist())
            found = [list(find(source, target)) for source, target in zip(test["source"], test["target"], strict=True)]
            share = 100 * sum(map(bool, found)) / len(found)
            rows.append(measuring.Row(f"{folder.name}: targets with an anchor of {kind}", share, f"% of {len(test)}"))
        drawn = sample(folder.name.rpartition("-")[2], find, test)
        if args.sample:
            for shown in drawn:
                print(judged.get(shown, {}).get("verdict", ""), *shown, sep="\t")
        rows += precision(folder.name, drawn, judged)
    measuring.record(args, rows, {}, {})


if __name__ == "__main__":
    main()
