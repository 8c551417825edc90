"""Generate the answers of one system (the base, or a tuned model at its last step) to the frozen prompts."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.core.json_types import JsonDict

if TYPE_CHECKING:
    from contrastive_context.core.journal import Journal
    from contrastive_context.inference.settings import GenerateSettings


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
    cli.add_execution(parser)
    return parser


def predict(
    args: argparse.Namespace, settings: "GenerateSettings", step: int, adapter: Path | None, journal: "Journal | None"
) -> list[JsonDict]:
    from contrastive_context.core import devices
    from contrastive_context.inference import generation

    devices.set_up_torch(settings.device, settings.threads or args.threads)

    from contrastive_context.models import adapters, language_models

    folder = args.model.removesuffix(".json")
    model = language_models.load_model(folder, settings.dtype, settings.device)
    if adapter is not None:
        adapters.AdapterSwitcher(model).apply(adapter)
    records = generation.predict(
        model,
        language_models.load_tokenizer(folder),
        settings.template,
        step,
        args.arrivals,
        args.test,
        args.contexts,
        settings.batch_tokens or args.batch_tokens,
        task=settings.task,
        label=f"{settings.task} {settings.model_name} step {step}",
        journal=journal,
        paraphrases=args.paraphrases,
    )
    return list(records)


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core import devices
    from contrastive_context.inference import resuming
    from contrastive_context.inference.settings import GenerateSettings
    from contrastive_context.models import adapters
    from contrastive_context.workflow.code_versions import code_of

    settings = cli.load_settings(args.settings, GenerateSettings)
    devices.require_gpu(settings.device, f"models.{settings.model_name}")
    artifacts.check_folder(args.model.removesuffix(".json"), args.model)
    step, adapter = 0, None
    if args.adapters:
        step, adapter = max(adapters.read_checkpoints(args.adapters, artifacts.sha256_file(args.model)).items())
    code = code_of(args.settings, "generate", args.state_dir) if args.state_dir else ""
    inputs = {name: vars(args)[name] for name in ("model", "contexts", "arrivals", "paraphrases", "test")}
    kept = resuming.Kept(args, settings, code, inputs)
    part = kept.part(step, adapter)
    if part.result is not None:
        cli.log.info("all prompts were answered before, by the same model to the same prompts")
    records = part.result or part.finish(predict(args, settings, step, adapter, part.journal))
    tokens = sum(record["prompt_tokens"] + record["output_tokens"] for record in records)
    with artifacts.atomic_path(args.out) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    provenance.write_provenance(
        args.out,
        inputs=inputs | {"adapters": args.adapters},
        settings=args.settings,
        started=args.started,
        tokens=tokens,
    )
    kept.tidy()


if __name__ == "__main__":
    cli.run(main, arguments(), preload=True)
