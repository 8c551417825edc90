"""Nearest neighbours: exact search against hnswlib by corpus size, and recall on embeddings of real sentences.

Larger corpora than the real ones are made of real embeddings with noise. The exact search of a large one is timed for
some of its rows and scaled up: it does the same work for every row.
"""

import argparse
from pathlib import Path
from typing import Any

import measuring
from inputs import make

K, DEPTH = 5, 16  # recall is of five; the table of neighbours is deeper


def unit(vectors: Any) -> Any:
    """Return vectors of unit norm."""
    import numpy as np

    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def enlarged(real: Any, rows: int) -> Any:
    """Return ``rows`` vectors: the real ones, and noisy copies of them (cosine to the original about 0.8)."""
    import numpy as np

    rng = np.random.default_rng(0)
    result = np.empty((rows, real.shape[1]), dtype=np.float32)
    result[: len(real)] = real
    for start in range(len(real), rows, 50_000):
        block = real[np.arange(start, min(rows, start + 50_000)) % len(real)]
        noise = rng.standard_normal(block.shape, dtype=np.float32) * (0.75 / real.shape[1] ** 0.5)
        result[start : start + len(block)] = unit(block + noise)
    return result


def both(next_round: Any, kind: str, folder: Path, task: str, rows: int, sample: int) -> None:
    """Search all rows of a corpus with one kind of index; report the seconds that all of them take, and recall."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from contrastive_context.config.tasks import Index
    from contrastive_context.retrieval.neighbours import build_hnsw, hnsw_search, measure_recall
    from contrastive_context.retrieval.similarity import Cosine

    real = np.load(folder / "embeddings" / task / "train.npy")
    vectors = enlarged(real, rows) if rows > len(real) else real[:rows]
    settings = Index()
    result = None
    with threadpool_limits(1):
        while True:
            next_round(result)
            started = measuring.now()
            if kind == "exact":
                chosen = np.arange(min(rows, sample))
                Cosine(vectors, vectors).top_k(DEPTH, rows=chosen, own_rows=chosen)
                result = {"seconds": (measuring.now() - started) * rows / len(chosen), "recall": 1.0}
            else:
                found = hnsw_search(vectors, build_hnsw(vectors, settings), DEPTH, settings.ef)
                seconds = measuring.now() - started
                result = {"seconds": seconds, "recall": measure_recall(vectors, found, K, min(rows, 500))}


def crossing(sizes: list[int], exact: list[float], index: list[float]) -> float | None:
    """Return the size at which both cost the same, by interpolation on logarithms; None if they don't cross."""
    import math

    gaps = [math.log(a / b) for a, b in zip(exact, index, strict=True)]
    for at in range(1, len(sizes)):
        if gaps[at - 1] < 0 <= gaps[at]:
            share = -gaps[at - 1] / (gaps[at] - gaps[at - 1])
            return math.exp(math.log(sizes[at - 1]) + share * math.log(sizes[at] / sizes[at - 1]))
    return None


def measure(args: argparse.Namespace, folder: Path, task: str, rows: int) -> dict[str, Any]:
    """Compare both kinds on one corpus."""
    import statistics

    rounds, warmup = (args.rounds, 1) if rows <= args.repeat_up_to else (1, 0)
    arguments = (folder, task, rows, args.sample)
    kinds = {kind: (both, (kind, *arguments)) for kind in ("exact", "hnswlib")}
    timings = measuring.compare(kinds, rounds, warmup)
    return {
        kind: {
            "seconds": statistics.median(value["seconds"] for value in timing.values),
            "recall": min(value["recall"] for value in timing.values),
            "peak_mb": timing.peak_mb,
        }
        for kind, timing in timings.items()
    }


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs that count, after one to warm up")
    parser.add_argument("--tasks", nargs="*", default=["intents", "home-assistant", "chromium"], help="real sentences")
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 3000, 10_000, 30_000, 50_000, 100_000, 1_000_000])
    parser.add_argument("--repeat-up-to", type=int, default=50_000, help="rows above which one round has to do")
    parser.add_argument("--sample", type=int, default=20_000, help="rows that the exact search is timed for at most")
    args = measuring.parse(parser)
    folder = make(*(f"embeddings/{task}/train.npy" for task in args.tasks))

    import numpy as np

    from contrastive_context.config.tasks import Index

    rows: list[measuring.Row] = []
    details: dict[str, Any] = {}
    for task in args.tasks:
        count = len(np.load(folder / "embeddings" / task / "train.npy", mmap_mode="r"))
        details[task] = measure(args, folder, task, count)
        recall = details[task]["hnswlib"]["recall"]
        rows.append(measuring.Row(f"recall@{K} of hnswlib, {task}, {count} sentences", recall, "", "≥ 0.99"))
    curves = {
        f"neighbours, {kind}, against rows": {"rows": [], "seconds": [], "peak_mb": [], "recall": []}
        for kind in ("exact", "hnswlib")
    }
    for size in sorted(args.rows):
        details[str(size)] = measure(args, folder, args.tasks[-1], size)
        for kind, found in details[str(size)].items():
            curve = curves[f"neighbours, {kind}, against rows"]
            for column, value in {"rows": size, **found}.items():
                curve[column].append(value)
            rows.append(measuring.Row(f"{size} rows, {kind}", found["seconds"], "s"))
        rows.append(measuring.Row(f"recall@{K} of hnswlib, {size} rows", details[str(size)]["hnswlib"]["recall"]))
    exact, index = (curve["seconds"] for curve in curves.values())
    where = crossing(sorted(args.rows), exact, index)
    if where:
        rows.append(measuring.Row("hnswlib is faster from", round(where, -2), "rows"))
    rows.append(measuring.Row("the default changes at", Index().exact_up_to, "rows"))
    measuring.record(args, rows, curves, details)


if __name__ == "__main__":
    main()
