"""Embedding of a corpus against sentence-transformers' own encode of the same sentences, and what memory it holds.

Both use the same kernels. The step makes its batches by tokens, which saves padding, and adds resuming, and memory that
beside the sentences' own doesn't grow with the corpus, as measured with an encoder that returns one vector for all.
"""

import tempfile
from pathlib import Path
from typing import Any

import measuring
from inputs import make, steps

ENCODER = "minilm-package"


def sentences(folder: Path, rows: int) -> Any:
    """Return real sentences, over and over if need be."""
    import pyarrow as pa

    from contrastive_context.core.columnar import read_columns

    texts = read_columns(folder / "corpus/home-assistant/train.parquet", ["source"])["source"].to_pylist()
    return pa.chunked_array([[f"{texts[i % len(texts)]}{'' if i < len(texts) else i}" for i in range(rows)]])


def ours(next_round: Any, folder: Path, rows: int, threads: int) -> None:
    """Embed as the step does, to a file."""
    import torch

    from contrastive_context.retrieval.encoders import batch_size, embed_to_file, load_encoder

    torch.set_num_threads(threads)
    settings = steps().study.encoders[ENCODER]
    encode, texts = load_encoder(settings, folder / "encoders" / ENCODER), sentences(folder, rows)
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            next_round()
            embed_to_file(Path(scratch) / "vectors.npy", texts, encode, batch_size(settings), "key")


def sentence_transformers(next_round: Any, folder: Path, rows: int, threads: int) -> None:
    """Embed with encode() and save the array."""
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder / "encoders" / ENCODER), device="cpu", local_files_only=True)
    texts = sentences(folder, rows).to_pylist()
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            next_round()
            np.save(Path(scratch) / "vectors.npy", model.encode(texts, normalize_embeddings=True))


def write_sentences(file: Path, rows: int) -> Path:
    """Write a file of Arrow's, of which a process can see the sentences without holding any."""
    import pyarrow as pa

    schema = pa.schema({"source": pa.string()})
    with pa.ipc.new_file(str(file), schema) as out:
        for start in range(0, rows, 1 << 16):
            numbers = range(start, min(rows, start + (1 << 16)))
            texts = [f"turn on the lamp number {number} in the kitchen" for number in numbers]
            out.write_batch(pa.record_batch([texts], schema=schema))
    return file


def holding(next_round: Any, file: Path) -> None:
    """Embed with an encoder that costs nothing; report the MiB that embedding holds, sentences aside."""
    import numpy as np
    import pyarrow as pa

    from contrastive_context.retrieval.encoders import embed_to_file

    texts = pa.ipc.open_file(pa.memory_map(str(file))).read_all()["source"]
    vector = np.full(384, 384**-0.5, dtype=np.float32)
    held: list[float] = []

    def encode(chosen: list[str]) -> np.ndarray:
        held.append(private_mb())
        return np.tile(vector, (len(chosen), 1))

    with tempfile.TemporaryDirectory() as scratch:
        embed_to_file(Path(scratch) / "imports.npy", texts.slice(0, 1), encode, 32, "key")
        before = private_mb()
        next_round()
        embed_to_file(Path(scratch) / "vectors.npy", texts, encode, 32, "key")
        next_round(max(held) - before)


def private_mb() -> float:
    """Return this process's memory that is no file's, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024


def main() -> None:
    """Measure and record."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="pairs that count, after one to warm up")
    parser.add_argument("--rows", type=int, default=2000, help="sentences")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--growth", type=int, nargs="*", default=[500, 1000, 2000, 4000], help="sizes for the plot")
    parser.add_argument("--large", type=int, nargs=2, default=[262_144, 1_048_576], help="sentences held in memory")
    args = measuring.parse(parser)
    folder = make(f"encoders/{ENCODER}.json", "corpus/home-assistant/train.parquet")
    arguments = (folder, args.rows, args.threads)
    implementations = {"ours": (ours, arguments), "encode": (sentence_transformers, arguments)}
    timings = measuring.compare(implementations, args.rounds)
    mine, other = timings["ours"], timings["encode"]
    curve: dict[str, list[float]] = {"rows": [], "seconds": [], "peak_mb": []}
    for size in sorted(args.growth):
        timing = measuring.compare({"ours": (ours, (folder, size, args.threads))}, 3)["ours"]
        for column, value in zip(curve.values(), (size, timing.median, timing.peak_mb), strict=True):
            column.append(value)
    held = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in args.large:
            file = write_sentences(Path(scratch) / f"{size}.arrow", size)
            held.append(measuring.compare({"ours": (holding, (file,))}, 1, 0)["ours"].values[0])
    more = args.large[1] - args.large[0]
    rows = [
        measuring.Row("sentences/s, ours / encode", measuring.ratio(other.seconds, mine.seconds), "×", "≥ 1.0"),
        measuring.Row("ours", args.rows / mine.median, "sentences/s"),
        measuring.Row("encode", args.rows / other.median, "sentences/s"),
        measuring.Row("ours, peak", mine.peak_mb, "MiB"),
        measuring.Row("encode, peak", other.peak_mb, "MiB"),
        *(measuring.Row(f"held beside the sentences, {n}", mb, "MiB") for n, mb in zip(args.large, held, strict=True)),
        measuring.Row(
            f"held beside {args.large[1] / args.large[0]:g} times the sentences", held[1] / held[0], "×", "≤ 1.15"
        ),
        measuring.Row("held for a further sentence, its own text aside", 2**20 * (held[1] - held[0]) / more, "bytes"),
    ]
    details = {name: vars(timing) for name, timing in timings.items()}
    measuring.record(args, rows, {"embedding against sentences": curve}, details)


if __name__ == "__main__":
    main()
