"""Fine-tune a LoRA adapter on the sampled contexts of one strategy and seed."""

import argparse
import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from contrastive_context import artifacts, cli


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the base's hash file, models/<model>.json")
    parser.add_argument("--corpus", required=True, help="corpus file of the training split")
    parser.add_argument("--contexts", required=True, help="training contexts of the strategy")
    parser.add_argument("--paraphrases", nargs="?", help="paraphrases that the contexts may name")
    parser.add_argument("--out-dir", required=True, help="folder to write; it appears when training is complete")
    return parser


@contextlib.contextmanager
def kept_on_failure(trainer_log: Path, args: argparse.Namespace) -> Iterator[None]:
    """Copy the log so far beside the step's own when training ends early: the folder it lies in is removed then."""
    try:
        yield
    except BaseException:
        if getattr(args, "log", None) and trainer_log.is_file():
            with contextlib.suppress(OSError):  # a full disk, perhaps; the first error is the one to report
                copy = shutil.copyfile(trainer_log, f"{args.log}.trainer_log.jsonl")
                cli.log.error("training ended early; its log so far: %s", copy)
        raise


def main(args: argparse.Namespace) -> None:
    from contrastive_context import devices
    from contrastive_context.training import data as training_data
    from contrastive_context.training import finetuning

    settings = cli.load_settings(args.settings, finetuning.Settings)
    devices.require_gpu(settings.device, f"models.{settings.model_name}")
    recipe = settings.recipe
    model_folder = args.model.removesuffix(".json")
    artifacts.check_folder(model_folder, args.model)
    data = training_data.read_training_data(args.corpus, args.contexts, args.paraphrases, recipe, settings.seed)
    devices.set_up_torch(settings.device, recipe.threads)

    from contrastive_context.models import language_models

    model = language_models.load_model(model_folder, settings.dtype, settings.device, attention=recipe.attention)
    with artifacts.atomic_folder(args.out_dir) as folder, kept_on_failure(folder / "trainer_log.jsonl", args):
        finetuning.fine_tune(
            model,
            language_models.load_tokenizer(model_folder),
            settings.template,
            recipe,
            settings.seed,
            data,
            folder,
            base_name=settings.model_name,
            base_sha256=artifacts.sha256_file(args.model),
            task=settings.task,
            label=f"{settings.task} {settings.model_name} {settings.strategy_name}-seed{settings.seed}",
        )
    last_step = json.loads((Path(args.out_dir) / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    artifacts.write_provenance(
        Path(args.out_dir) / "adapters.json",
        inputs={
            "model": args.model,
            "corpus": args.corpus,
            "contexts": args.contexts,
            "paraphrases": args.paraphrases,
        },
        settings=settings.model_dump(mode="json"),
        started=args.started,
        tokens=last_step["input_tokens"],
    )


if __name__ == "__main__":
    cli.run(main, arguments())
