"""Find each training example's nearest neighbours among the others and measure the recall of the index."""

import argparse
from pathlib import Path

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", required=True, help="the corpus: corpus/<task>/train.parquet")
    parser.add_argument("--embeddings", required=True, help="its embeddings: embeddings/<task>/train.npy")
    parser.add_argument("--out", required=True, help="neighbour table (.parquet); .recall.json goes beside it")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core.columnar import read_columns, write_tables
    from contrastive_context.retrieval.embedding_files import read_embeddings
    from contrastive_context.retrieval.neighbours import find_neighbours, neighbour_tables
    from contrastive_context.retrieval.settings import FindNeighboursSettings

    settings = cli.load_settings(args.settings, FindNeighboursSettings)
    out = Path(args.out)
    ids = read_columns(args.corpus, ["id"])["id"].to_pylist()
    embeddings = read_embeddings(args.embeddings, len(ids), args.corpus)
    found, recall = find_neighbours(ids, embeddings, settings.index, settings.k, task=settings.task)
    artifacts.write_json(out.with_suffix(".recall.json"), recall)
    write_tables(out, neighbour_tables(ids, found))
    provenance.write_provenance(
        out,
        out.with_suffix(".recall.json"),
        inputs={"corpus": args.corpus, "embeddings": args.embeddings},
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
