"""Score a system on the frozen probe prompts: the base at step 0, or a tuned model at all its later checkpoints."""

import argparse
import shutil

from contrastive_context.core import artifacts, cli, provenance
from contrastive_context.inference.settings import RunProbesSettings
from contrastive_context.workflow.code_versions import code_of


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the base's hash file, models/<model>.json")
    parser.add_argument("--adapters", nargs="?", help="adapters.json of a fine-tuning run; the base itself if absent")
    parser.add_argument("--probes", required=True, help="frozen probe prompts")
    parser.add_argument("--state-dir", help="folder for what a later run resumes from; without it nothing is kept")
    parser.add_argument("--out", required=True, help="Parquet file to write")
    return parser


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core import devices
    from contrastive_context.inference import probing

    settings = cli.load_settings(args.settings, RunProbesSettings)
    devices.require_gpu(settings.device, f"models.{settings.model_name}")
    model_folder = args.model.removesuffix(".json")
    artifacts.check_folder(model_folder, args.model)
    rows = artifacts.read_parquet(args.probes, probing.COLUMNS)
    inputs = {"model": args.model, "adapters": args.adapters, "probes": args.probes}
    if not len(rows):  # the data give none, which the coverage of the prompts says
        artifacts.write_parquet(args.out, probing.no_values().assign(step=0))
        provenance.write_provenance(args.out, inputs=inputs, settings=args.settings, started=args.started, tokens=0)
        return
    devices.set_up_torch(settings.device, settings.threads)

    import pandas as pd

    from contrastive_context.inference import resuming
    from contrastive_context.models import adapters, language_models

    model = language_models.load_model(model_folder, settings.dtype, settings.device)
    tokenizer = language_models.load_tokenizer(model_folder)
    checkpoints = {0: None}
    if args.adapters:  # step 0 is the base's, probed once for all systems
        found = adapters.read_checkpoints(args.adapters, artifacts.sha256_file(args.model))
        checkpoints = {step: folder for step, folder in found.items() if step > 0}
    code = code_of(args.settings, "run_probes", args.state_dir) if args.state_dir else ""
    switcher = adapters.AdapterSwitcher(model)
    frames = []
    for number, (step, folder) in enumerate(checkpoints.items(), start=1):
        if folder is not None:
            switcher.apply(folder)
        frame = probing.probe_model(
            model,
            tokenizer,
            settings.template,
            rows,
            settings.measures,
            settings.agreement,
            batch_tokens=settings.batch_tokens,
            label=f"{settings.task} {settings.model_name} step {step} ({number}/{len(checkpoints)})",
            journal=resuming.open_journal(args, settings, inputs, code, f"step{step}"),
        )
        frame.insert(0, "step", step)
        frames.append(frame)
    tokens = sum(frame.attrs.pop("tokens") for frame in frames)
    artifacts.write_parquet(args.out, pd.concat(frames, ignore_index=True))
    provenance.write_provenance(
        args.out,
        inputs=inputs,
        settings=args.settings,
        started=args.started,
        tokens=tokens,
    )
    if args.state_dir:  # the values are where they belong, and those of older settings are of no use
        shutil.rmtree(args.state_dir, ignore_errors=True)


if __name__ == "__main__":
    cli.run(main, arguments(), preload=True)
