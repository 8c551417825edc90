"""Scoring of a grid half of whose answers repeat, against scoring every answer."""

import json
import statistics
import tempfile
from pathlib import Path

import measuring
from inputs import make

from contrastive_context.scoring.settings import ScoreSettings


def write_grid(folder: Path, corpus: Path, systems: int, targets: int, repeated: float) -> dict[str, Path]:
    """Write predictions of several systems: real sentences, a share of which every system repeats from the first."""
    import numpy as np

    from contrastive_context.core import artifacts

    pairs = artifacts.read_parquet(corpus, ("id", "target"))
    rng = np.random.default_rng(0)
    ids, texts = pairs["id"].tolist()[:targets], pairs["target"].tolist()
    # Those of the first system are new in any case.
    share = repeated * systems / (systems - 1)
    paths, first = {}, {}
    for system in range(systems):
        path = folder / f"random-seed{system}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for name in ids:
                # A number makes an answer new.
                output = f"{texts[rng.integers(len(texts))]} {system}.{rng.integers(10**9)}"
                if system and rng.random() < share:
                    output = first[name]
                first.setdefault(name, output)
                record = {
                    "prompt_id": f"p{name}", "target_id": name, "test_set": "train", "composition": "one_graded",
                    "series": "headline", "bucket": "low", "step": 1, "output": output, "stop_reason": "stop",
                    "examples": 5, "dropped_examples": 0,
                }  # fmt: skip
                file.write(json.dumps(record) + "\n")
        paths[path.stem] = path
    return paths


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs that count, after one to warm up")
    parser.add_argument("--targets", type=int, default=400)
    parser.add_argument("--systems", type=int, default=12)
    parser.add_argument("--repeated", type=float, default=0.5, help="share of the triples that repeat an earlier one")
    args = measuring.parse(parser)
    folder = make("corpus/home-assistant/train.parquet")
    source = folder / "corpus/home-assistant/train.parquet"

    from contrastive_context.core import artifacts
    from contrastive_context.scoring import scoring

    settings = ScoreSettings(task="home-assistant", metrics=["chrf++", "bleu"])
    ours = scoring.Scorer.score

    def every_answer(self: scoring.Scorer, *triple: str) -> list:
        return [self._segment(metric, *triple) for metric in self.metrics]

    def timed(method: object, paths: dict[str, Path], test: Path) -> tuple[float, int, object]:
        scoring.Scorer.score = method
        started = measuring.now()
        frame, scorer = scoring.score(paths, test, settings)
        return measuring.now() - started, scorer.computed, frame

    with tempfile.TemporaryDirectory() as temporary:
        paths = write_grid(Path(temporary), source, args.systems, args.targets, args.repeated)
        corpus = artifacts.read_parquet(source, ("id", "source", "target", "cluster"))
        corpus["test_set"] = "train"
        test = Path(temporary) / "test.parquet"
        artifacts.write_parquet(test, corpus)
        measures = {"ours": lambda: timed(ours, paths, test), "every": lambda: timed(every_answer, paths, test)}
        found = measuring.alternate(measures, args.rounds)
    same = found["ours"][0][2].equals(found["every"][0][2])
    mine, theirs = ([seconds for seconds, *_ in found[name]] for name in ("ours", "every"))
    rows = [
        measuring.Row("share of segment scores computed", found["ours"][0][1] / found["every"][0][1]),
        measuring.Row("time, ours / every answer", 1 / measuring.ratio(theirs, mine), "×", "≤ 0.6"),
        measuring.Row("the same scores (1: yes)", float(same), "", "≥ 1"),
        measuring.Row("ours", statistics.median(mine), "s"),
        measuring.Row("every answer", statistics.median(theirs), "s"),
    ]
    measuring.record(args, rows, details={"ours": mine, "every": theirs})


if __name__ == "__main__":
    main()
