"""Generate the answers of one system (the base, or a tuned model at its last step) to the frozen prompts."""

import argparse
import json
import shutil

from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.inference.settings import GenerateSettings
from contrastive_context.workflow.code_versions import code_of


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the base's hash file, models/<model>.json")
    parser.add_argument("--adapters", nargs="?", help="adapters.json of a fine-tuning run; the base itself if absent")
    parser.add_argument("--contexts", required=True, help="frozen evaluation contexts")
    parser.add_argument("--arrivals", required=True, help="corpus file of the examples")
    parser.add_argument(
        "--paraphrases", nargs="?", help="paraphrases that stand in for examples, if the contexts do so"
    )
    parser.add_argument("--test", required=True, help="corpus file of the targets")
    parser.add_argument("--state-dir", help="folder for what a later run resumes from; without it nothing is kept")
    parser.add_argument("--out", required=True, help="JSON lines to write")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core import devices
    from contrastive_context.inference import generation, resuming

    settings = cli.load_settings(args.settings, GenerateSettings)
    devices.require_gpu(settings.device, f"models.{settings.model_name}")
    folder = args.model.removesuffix(".json")
    artifacts.check_folder(folder, args.model)
    devices.set_up_torch(settings.device, settings.threads)

    from contrastive_context.models import adapters, language_models

    model = language_models.load_model(folder, settings.dtype, settings.device)
    step = 0
    if args.adapters:
        checkpoints = adapters.read_checkpoints(args.adapters, artifacts.sha256_file(args.model))
        step = max(checkpoints)
        adapters.AdapterSwitcher(model).apply(checkpoints[step])
    code = code_of(args.settings, "generate", args.state_dir) if args.state_dir else ""
    inputs = {name: vars(args)[name] for name in ("model", "adapters", "contexts", "arrivals", "paraphrases", "test")}
    journal = resuming.open_journal(args, settings, inputs, code, "answers")
    records = generation.predict(
        model,
        language_models.load_tokenizer(folder),
        settings.template,
        step,
        args.arrivals,
        args.test,
        args.contexts,
        settings.batch_tokens,
        task=settings.task,
        label=f"{settings.task} {settings.model_name} step {step}",
        journal=journal,
        paraphrases=args.paraphrases,
    )
    tokens = 0
    with artifacts.atomic_path(args.out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            tokens += record["prompt_tokens"] + record["output_tokens"]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    provenance.write_provenance(
        args.out,
        inputs=inputs,
        settings=args.settings,
        started=args.started,
        tokens=tokens,
    )
    if args.state_dir:  # the answers are where they belong, and those of older settings are of no use
        shutil.rmtree(args.state_dir, ignore_errors=True)


if __name__ == "__main__":
    cli.run(main, arguments(), preload=True)
