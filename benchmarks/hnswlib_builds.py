"""What a portable build of hnswlib costs: index and search beside a build for this machine's processor, made for it."""

import importlib.metadata
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import measuring


def search(next_round: Any, folder: str | None, rows: int, dimensions: int) -> None:
    """Index random unit vectors, then look for the 16 nearest of a tenth of them, with one thread."""
    import numpy as np

    if folder:
        sys.path.insert(0, folder)
    import hnswlib

    vectors = np.random.default_rng(0).standard_normal((rows, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    while True:
        next_round()
        index = hnswlib.Index(space="ip", dim=dimensions)
        index.set_num_threads(1)
        index.init_index(max_elements=rows, M=16, ef_construction=200, random_seed=100)
        index.add_items(vectors, num_threads=1)
        index.set_ef(128)
        index.knn_query(vectors[: rows // 10], k=16, num_threads=1)


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="vectors")
    parser.add_argument("--dimensions", type=int, default=384, help="of each")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count, after one to warm up")
    args = measuring.parse(parser)
    sizes = (args.rows, args.dimensions)
    with tempfile.TemporaryDirectory() as folder:
        package = f"hnswlib=={importlib.metadata.version('hnswlib')}"
        options = ["--quiet", "--no-deps", "--no-cache-dir", "--no-binary", "hnswlib", "--target", folder, package]
        subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True)
        timings = measuring.compare(
            {"portable": (search, (None, *sizes)), "native": (search, (folder, *sizes))}, args.rounds
        )
    ratios = [a / b for a, b in zip(timings["portable"].seconds, timings["native"].seconds, strict=True)]
    rows = [
        measuring.Row("portable hnswlib: index and search", timings["portable"].median, "s"),
        measuring.Row("… to a build for this processor", statistics.median(ratios), "×"),
    ]
    measuring.record(args, rows, {}, {name: timing.seconds for name, timing in timings.items()})


if __name__ == "__main__":
    main()
