"""Sampling of training contexts: the step itself on synthetic corpora of up to a million rows, every strategy."""

import json
import multiprocessing
import statistics
import sys
import tempfile
from pathlib import Path

import measuring

STRATEGIES = {
    "zero": {"kind": "zero"},
    "random": {"kind": "random"},
    "similar": {"kind": "similar"},
    "contrastive": {"kind": "contrastive", "p": 0.5, "epsilon": 0.1},
    "mixed": {"kind": "mixed", "p": 0.5},
}


def write_inputs(folder: Path, rows: int, dimensions: int, depth: int) -> None:
    """Write a corpus, unit vectors, a neighbour table and a paraphrase for every third row; all are made up."""
    import numpy as np
    import pyarrow as pa

    from contrastive_context.core.columnar import write_tables
    from contrastive_context.retrieval.neighbours import neighbour_tables
    from contrastive_context.retrieval.similarity import Neighbours

    rng = np.random.default_rng(0)
    ids = [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in range(1, rows + 1)]
    sources = [f"turn on the lamp number {number} in the kitchen" for number in range(rows)]
    write_tables(folder / "corpus.parquet", [pa.table({"id": ids, "source": sources})])
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (rows, dimensions))
    for start in range(0, rows, 50_000):
        block = rng.standard_normal((min(50_000, rows - start), dimensions), dtype=np.float32)
        vectors[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    del vectors
    near = (np.arange(rows)[:, None] + np.arange(1, depth + 1)) % rows
    found = Neighbours(near, np.sort(rng.uniform(0.3, 0.9, (rows, depth)))[:, ::-1])
    write_tables(folder / "neighbours.parquet", neighbour_tables(ids, found))
    parents = ids[::3]
    names = [f"{number * 0xBF58476D1CE4E5B9 % 2**64:016x}" for number in range(1, len(parents) + 1)]
    columns = {"id": names, "parent_id": parents, "similarity": rng.uniform(0.67, 0.99, len(parents))}
    write_tables(folder / "paraphrases.parquet", [pa.table({**columns, "accepted": [True] * len(parents)})])


def step(folder: Path, strategy: str, k: int) -> measuring.Finished:
    """Run the step in a fresh process."""
    settings = {
        "task": "made-up", "strategy_name": strategy, "strategy": STRATEGIES[strategy], "k": k, "draws": 1, "seed": 0,
        "buckets": {"low": 0.0, "medium": 0.33, "high": 0.67},
    }  # fmt: skip
    command = [sys.executable, "workflow_scripts/sample_train_contexts.py", "--settings", json.dumps(settings)]
    for name in ("corpus", "neighbours", "paraphrases"):
        if name == "corpus" or STRATEGIES[strategy]["kind"] in ("similar", "contrastive", "mixed"):
            command += [f"--{name}", str(folder / f"{name}.parquet")]
    command += ["--embeddings", str(folder / "vectors.npy"), "--out", str(folder / "out.parquet")]
    return measuring.run(command)


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[125_000, 250_000, 500_000, 1_000_000])
    parser.add_argument("--dimensions", type=int, default=384, help="of the vectors")
    parser.add_argument("--k", type=int, default=5, help="examples per context")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each strategy at the largest size")
    args = measuring.parse(parser)
    curves = {f"contexts, {name}, against rows": {"rows": [], "seconds": [], "peak_mb": []} for name in STRATEGIES}
    rows, details = [], {}
    for size in sorted(args.rows):
        is_last = size == max(args.rows)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            # Elsewhere: what this process has used at its peak would count as the steps' own.
            writer = multiprocessing.get_context("spawn").Process(
                target=write_inputs, args=(folder, size, args.dimensions, 16)
            )
            writer.start()
            writer.join()
            if writer.exitcode:
                sys.exit(writer.exitcode)
            measures = {name: lambda name=name, folder=folder: step(folder, name, args.k) for name in STRATEGIES}
            found = measuring.alternate(measures, args.rounds if is_last else 1)
        for name, runs in found.items():
            seconds, peak = statistics.median(run.seconds for run in runs), max(run.peak_mb for run in runs)
            for column, value in zip(
                curves[f"contexts, {name}, against rows"].values(), (size, seconds, peak), strict=True
            ):
                column.append(value)
            if is_last:
                rows.append(measuring.Row(f"{size} contexts, {name}", seconds, "s", "≤ 30"))
                rows.append(measuring.Row(f"{size} contexts, {name}, peak memory", peak, "MiB", "≤ 2048"))
                details[name] = [run._asdict() for run in runs]
    measuring.record(args, rows, curves, details)


if __name__ == "__main__":
    main()
