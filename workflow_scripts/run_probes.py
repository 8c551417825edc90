"""Score a system on the frozen probe prompts: the base at step 0, or a tuned model at all its later checkpoints."""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from contrastive_context.core import artifacts, cli, provenance

if TYPE_CHECKING:
    import pandas as pd

    from contrastive_context.core.journal import Journal
    from contrastive_context.inference.settings import RunProbesSettings


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the base's hash file, models/<model>.json")
    parser.add_argument("--adapters", nargs="?", help="adapters.json of a fine-tuning run; the base itself if absent")
    parser.add_argument("--probes", required=True, help="frozen probe prompts")
    parser.add_argument("--state-dir", help="folder for what a later run resumes from; without it nothing is kept")
    parser.add_argument("--out", required=True, help="Parquet file to write")
    cli.add_execution(parser)
    return parser


def probing_of(
    args: argparse.Namespace, settings: "RunProbesSettings", rows: "pd.DataFrame"
) -> "Callable[[Path | None, str, Journal | None], pd.DataFrame]":
    """Return what probes the model with an adapter, or the base; the model is loaded at the first call."""
    from contrastive_context.core import devices
    from contrastive_context.inference import probing

    folder = args.model.removesuffix(".json")

    @functools.cache
    def loaded() -> tuple:
        devices.set_up_torch(settings.device, settings.threads or args.threads)

        from contrastive_context.models import adapters, language_models

        model = language_models.load_model(folder, settings.dtype, settings.device)
        return model, language_models.load_tokenizer(folder), adapters.AdapterSwitcher(model)

    def probed(adapter: Path | None, label: str, journal: "Journal | None") -> "pd.DataFrame":
        model, tokenizer, switcher = loaded()
        if adapter is not None:
            switcher.apply(adapter)
        return probing.probe_model(
            model,
            tokenizer,
            settings.template,
            rows,
            settings.measures,
            settings.agreement,
            batch_tokens=settings.batch_tokens or args.batch_tokens,
            label=label,
            journal=journal,
        )

    return probed


def main(args: argparse.Namespace) -> None:
    from contrastive_context.core import devices
    from contrastive_context.inference import probing
    from contrastive_context.inference.settings import RunProbesSettings

    settings = cli.load_settings(args.settings, RunProbesSettings)
    devices.require_gpu(settings.device, f"models.{settings.model_name}")
    artifacts.check_folder(args.model.removesuffix(".json"), args.model)
    rows = artifacts.read_parquet(args.probes, probing.COLUMNS)
    inputs = {"model": args.model, "adapters": args.adapters, "probes": args.probes}
    if not len(rows):  # the data give none, which the coverage of the prompts says
        artifacts.write_parquet(args.out, probing.no_values().assign(step=0))
        provenance.write_provenance(args.out, inputs=inputs, settings=args.settings, started=args.started, tokens=0)
        return
    import pandas as pd

    from contrastive_context.inference import resuming
    from contrastive_context.models import adapters
    from contrastive_context.workflow.code_versions import code_of

    checkpoints: dict[int, Path | None] = {0: None}
    if args.adapters:  # step 0 is the base's, probed once for all systems
        found = adapters.read_checkpoints(args.adapters, artifacts.sha256_file(args.model))
        checkpoints = {step: folder for step, folder in found.items() if step > 0}
    code = code_of(args.settings, "run_probes", args.state_dir) if args.state_dir else ""
    kept = resuming.Kept(args, settings, code, {"model": args.model, "probes": args.probes})
    probed = probing_of(args, settings, rows)
    parts = {step: kept.part(step, folder) for step, folder in checkpoints.items()}
    for number, (step, part) in enumerate(parts.items(), start=1):
        label = f"{settings.task} {settings.model_name} step {step} ({number}/{len(parts)})"
        if part.result is not None:
            cli.log.info("%s: probed before", label)
            continue
        frame = probed(checkpoints[step], label, part.journal)
        part.finish({"tokens": frame.attrs["tokens"], "values": frame.to_dict("list")})
    frames = [pd.DataFrame({"step": step, **part.result["values"]}) for step, part in parts.items()]
    artifacts.write_parquet(args.out, pd.concat(frames, ignore_index=True))
    provenance.write_provenance(
        args.out,
        inputs=inputs,
        settings=args.settings,
        started=args.started,
        tokens=sum(part.result["tokens"] for part in parts.values()),
    )
    kept.tidy()


if __name__ == "__main__":
    cli.run(main, arguments(), preload=True)
