"""Start-up of a model job: by itself, and as a child of a process that has torch and transformers loaded.

The job generates a handful of answers of a tiny model, which takes a tenth of a second: nearly all of it is start-up.
"""

import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import inputs
import measuring
from inputs import make

from contrastive_context.core import preloading


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="pairs that count, after one to warm up")
    args = measuring.parse(parser)
    files = {
        "model": "models/tiny-llama.json", "contexts": "contexts/lexicon/eval.parquet",
        "arrivals": "corpus/lexicon/arrivals.parquet", "test": "corpus/lexicon/test.parquet",
    }  # fmt: skip
    folder = make(*files.values())
    command = [sys.executable, "workflow_scripts/generate.py"]
    command += ["--settings", inputs.steps().settings("generate", "lexicon", "tiny-llama")]
    command += [word for name, path in files.items() for word in (f"--{name}", str(folder / path))]
    sockets = preloading.open_folder()
    os.environ[preloading.FOLDER] = ""

    @contextlib.contextmanager
    def preloaded():
        os.environ[preloading.FOLDER] = str(sockets)
        yield
        os.environ[preloading.FOLDER] = ""

    with tempfile.TemporaryDirectory() as temporary:

        def job() -> measuring.Finished:
            return measuring.run([*command, "--out", str(Path(temporary) / "out.jsonl")])

        def child() -> measuring.Finished:
            with preloaded():
                return job()

        started = time.perf_counter()
        child()  # starts the process for those after it
        while not list(sockets.glob("*.socket")):
            if time.perf_counter() - started > 60:
                sys.exit("the process with the libraries did not start")
            time.sleep(0.1)
        found = measuring.alternate({"by itself": job, "child": child}, args.rounds)
    medians = {name: statistics.median(run.seconds for run in runs) for name, runs in found.items()}
    ratio = measuring.ratio([run.seconds for run in found["child"]], [run.seconds for run in found["by itself"]])
    rows = [
        measuring.Row("a job by itself", medians["by itself"], "s"),
        measuring.Row("as a child of a process with the libraries", medians["child"], "s", "≤ 1"),
        measuring.Row("… to a job by itself", ratio, "×"),
    ]
    measuring.record(args, rows, {}, {name: [run._asdict() for run in runs] for name, runs in found.items()})


if __name__ == "__main__":
    main()
