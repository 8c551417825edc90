"""Ask an HTTP endpoint for a paraphrase of every pair of a split; answers are kept and never asked for twice."""

import argparse
import os

from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.core.errors import UserError


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", required=True, help="the split: corpus/<task>/<split>.parquet")
    parser.add_argument("--cache", required=True, help="folder in which answers are kept, whatever becomes of --out")
    parser.add_argument("--out", required=True, help="the answers (.parquet)")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.paraphrasing.endpoint import ask
    from contrastive_context.paraphrasing.settings import AskEndpointSettings

    settings = cli.load_settings(args.settings, AskEndpointSettings)
    # From the environment alone: an argument would stand in the list of processes.
    variable = settings.paraphraser.api_key_env
    key = os.environ.get(variable, "") if variable else None
    if variable and not key:
        raise UserError(
            f"paraphrasers.{settings.paraphraser_name}.api_key_env: the environment variable {variable} is not set; "
            "put the endpoint's key into it, or take a paraphraser that needs none (kind: rules)"
        )
    rows = artifacts.read_parquet(args.corpus, columns=["id", "source", "target"])
    frame, counts = ask(settings, rows, args.cache, key)
    cli.log.info(
        "%d answers, %d of them unusable; %d requests and %d tokens in all runs",
        counts["rows"], counts["unusable"], counts["requests"], counts["tokens"],
    )  # fmt: skip
    artifacts.write_parquet(args.out, frame)
    provenance.write_provenance(
        args.out,
        inputs={"corpus": args.corpus},
        settings=args.settings,
        started=args.started,
        tokens=counts["tokens"],
    )


if __name__ == "__main__":
    cli.run(main, arguments())
