"""Probes of a run's checkpoints: one job for all of them against a job for each."""

import json
import statistics
import sys
import tempfile
from pathlib import Path

import inputs
import measuring
from inputs import MODEL, TASK, make


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs that count, after one to warm up")
    args = measuring.parse(parser)
    adapters = f"finetune/{TASK}/{MODEL}/random-seed0/adapters.json"
    folder = make(adapters, f"contexts/{TASK}/probes.parquet")
    record = json.loads((folder / adapters).read_text())
    steps = sorted(int(step) for step in record["steps"] if step != "0")
    settings = inputs.steps().settings("run_probes", TASK, MODEL)

    with tempfile.TemporaryDirectory() as temporary:

        def probe(count: int) -> measuring.Finished:
            """Probe the first checkpoints."""
            chosen = {
                str(step): {
                    **record["steps"][str(step)],
                    "folder": str((folder / adapters).parent.absolute() / record["steps"][str(step)]["folder"]),
                }
                for step in steps[:count]
            }
            file = Path(temporary) / f"{count}.json"
            file.write_text(json.dumps({**record, "steps": chosen}))
            command = [sys.executable, "workflow_scripts/run_probes.py", "--settings", settings]
            command += ["--model", str(folder / "models" / f"{MODEL}.json"), "--adapters", str(file)]
            command += ["--probes", str(folder / "contexts" / TASK / "probes.parquet")]
            return measuring.run([*command, "--out", str(Path(temporary) / "out.parquet")])

        counts = sorted({1, 2, len(steps)})
        found = measuring.alternate({str(count): lambda count=count: probe(count) for count in counts}, args.rounds)
    medians = {count: statistics.median(run.seconds for run in found[str(count)]) for count in counts}
    peaks = {count: max(run.peak_mb for run in found[str(count)]) for count in counts}
    last = counts[-1]
    pairs = list(zip(found[str(last)], found["1"], strict=True))
    rows = [
        measuring.Row(
            f"{last} checkpoints in one job / {last + 1} single evaluations",
            statistics.median(a.seconds / ((last + 1) * b.seconds) for a, b in pairs), "×", "≤ 1",
        ),
        measuring.Row(
            "each further checkpoint / a job of its own",
            statistics.median((a.seconds - b.seconds) / ((last - 1) * b.seconds) for a, b in pairs), "×", "≤ 1",
        ),
        measuring.Row("one checkpoint", medians[1], "s"),
        measuring.Row(f"{last} checkpoints", medians[last], "s"),
    ]  # fmt: skip
    curve = {"checkpoints": counts, "seconds": list(medians.values()), "peak_mb": list(peaks.values())}
    details = {count: [run._asdict() for run in runs] for count, runs in found.items()}
    measuring.record(args, rows, {"probes against checkpoints": curve}, details)


if __name__ == "__main__":
    main()
