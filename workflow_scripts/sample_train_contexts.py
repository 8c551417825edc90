"""Sample the training contexts of one strategy for every training example."""

import argparse

from contrastive_context.core import cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", required=True, help="the corpus: corpus/<task>/train.parquet")
    parser.add_argument("--embeddings", required=True, help="its embeddings: embeddings/<task>/train.npy")
    parser.add_argument("--neighbours", nargs="?", help="neighbours/<task>/train.parquet; not for zero and random")
    parser.add_argument(
        "--paraphrases", nargs="?", help="paraphrases/<task>/<paraphraser>.parquet, if epsilon or augmentation > 0"
    )
    parser.add_argument("--out", required=True, help="the contexts: contexts/<task>/train/<strategy>.parquet")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.contexts.sampling import iter_contexts
    from contrastive_context.contexts.settings import SampleTrainContextsSettings
    from contrastive_context.core.columnar import read_columns, write_tables
    from contrastive_context.retrieval.embedding_files import read_embeddings
    from contrastive_context.retrieval.neighbours import read_neighbours

    settings = cli.load_settings(args.settings, SampleTrainContextsSettings)
    corpus = read_columns(args.corpus, ["id", "source"])
    ids = corpus["id"].combine_chunks()
    # Some spare neighbours, in case the nearest have the same normalised source.
    depth = settings.neighbours or settings.k + 3
    neighbours = read_neighbours(args.neighbours, ids, depth) if args.neighbours else None
    paraphrases = None
    if args.paraphrases:
        paraphrases = read_columns(args.paraphrases, ["id", "parent_id", "similarity", "accepted"])
    contexts = iter_contexts(
        ids,
        read_embeddings(args.embeddings, len(ids), args.corpus),
        settings.strategy,
        k=settings.k,
        neighbours=neighbours,
        paraphrases=paraphrases,
        sources=corpus["source"],
        draws=settings.draws,
        seed=settings.seed,
        task=settings.task,
        name=settings.strategy_name,
        edges=settings.buckets,
    )
    write_tables(args.out, contexts)
    provenance.write_provenance(
        args.out,
        inputs={
            "corpus": args.corpus,
            "embeddings": args.embeddings,
            "neighbours": args.neighbours,
            "paraphrases": args.paraphrases,
        },
        settings=args.settings,
        started=args.started,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
