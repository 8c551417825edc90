"""Fine-tune a LoRA adapter on the sampled contexts of one strategy and seed.

With --state-dir training can be stopped at any time, killed too: the same command goes on where it was, to the same
result. It stops by itself, with its state saved, before the time of a SLURM job (or --time-limit) is over; then it
requeues the job and ends with status 75. A job that finds another one at the same work waits for it.
"""

import argparse
import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contrastive_context.core import artifacts, cli, provenance


def arguments() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="the base's hash file, models/<model>.json")
    parser.add_argument("--corpus", required=True, help="corpus file of the training split")
    parser.add_argument("--contexts", required=True, help="training contexts of the strategy")
    parser.add_argument("--paraphrases", nargs="?", help="paraphrases that the contexts may name")
    parser.add_argument("--out-dir", required=True, help="folder to write; it appears when training is complete")
    parser.add_argument("--state-dir", help="folder for what a later run resumes from; without it nothing is kept")
    parser.add_argument("--time-limit", type=float, metavar="MINUTES", help="stop before; default: the SLURM job's own")
    cli.add_safeguards(parser)
    return parser


@contextlib.contextmanager
def kept_on_failure(trainer_log: Path, args: argparse.Namespace) -> Iterator[None]:
    """Copy the log so far beside the step's own when training ends early: the folder it lies in may be removed then."""
    try:
        yield
    except BaseException:
        if getattr(args, "log", None) and trainer_log.is_file():
            with contextlib.suppress(OSError):  # a full disk, perhaps; the first error is the one to report
                copy = shutil.copyfile(trainer_log, f"{args.log}.trainer_log.jsonl")
                cli.log.error("training ended early; its log so far: %s", copy)
        raise


def fingerprint(args: argparse.Namespace, settings: Any, inputs: Mapping[str, str | None]) -> str:
    """Return what names the state of this training; see :func:`contrastive_context.training.state.fingerprint`."""
    from contrastive_context.training import state
    from contrastive_context.workflow.code_versions import code_of

    code = code_of(args.settings, "finetune", args.state_dir)
    return state.fingerprint(settings.model_dump(mode="json"), code, inputs)


def train(args: argparse.Namespace, settings: Any, safeguards: Any, run_state: Any, interrupted: Any) -> None:
    from contrastive_context.core import devices
    from contrastive_context.training import data as training_data
    from contrastive_context.training import finetuning

    recipe = settings.recipe
    data = training_data.read_training_data(args.corpus, args.contexts, args.paraphrases, recipe, settings.seed)
    devices.set_up_torch(settings.device, recipe.threads)

    from contrastive_context.models import language_models

    model_folder = args.model.removesuffix(".json")
    model = language_models.load_model(model_folder, settings.dtype, settings.device)
    tokenizer = language_models.load_tokenizer(model_folder)
    with kept_on_failure(run_state.log_file, args):
        finetuning.fine_tune(model, tokenizer, settings, data, run_state, safeguards, interrupted)


def main(args: argparse.Namespace) -> None:
    from contrastive_context.config.safeguards import Safeguards
    from contrastive_context.core import devices, lease
    from contrastive_context.training import finetuning, interruptions, state
    from contrastive_context.training.settings import FinetuneSettings

    settings = cli.load_settings(args.settings, FinetuneSettings)
    safeguards = cli.load_settings(args.safeguards, Safeguards, "--safeguards")
    devices.require_gpu(settings.device, f"models.{settings.model_name}")
    artifacts.check_folder(args.model.removesuffix(".json"), args.model)
    inputs = {"model": args.model, "corpus": args.corpus, "contexts": args.contexts, "paraphrases": args.paraphrases}
    left_s = args.time_limit * 60 if args.time_limit else interruptions.seconds_left()
    interrupted = interruptions.Interruptions(left_s, safeguards.stop_before_s)
    timeout_s = safeguards.lease_timeout_s
    with interruptions.requeued_when_out_of_time(), contextlib.ExitStack() as stack:
        if args.state_dir:
            folder = Path(args.state_dir) / fingerprint(args, settings, inputs)
            guard = stack.enter_context(lease.hold(folder, timeout_s, waiting=interrupted.check)).check
        else:
            folder, guard = stack.enter_context(artifacts.temporary_folder(args.out_dir)), lambda: None
        run_state = state.RunState(folder, finetuning.checkpoints(settings.recipe), safeguards.keep_states, guard=guard)
        if run_state.is_finished:
            cli.log.info("already trained: publishing what %s holds", folder)
        else:
            train(args, settings, safeguards, run_state, interrupted)
        guard()
        with artifacts.atomic_folder(args.out_dir) as out:
            run_state.publish(out, artifacts.sha256_file(args.model))
        last_step = json.loads((Path(args.out_dir) / state.LOG).read_text(encoding="utf-8").splitlines()[-1])
        provenance.write_provenance(
            Path(args.out_dir) / "adapters.json",
            Path(args.out_dir) / state.LOG,
            inputs=inputs,
            settings=args.settings,
            started=args.started,
            tokens=last_step["input_tokens"],
        )
        run_state.tidy()
        if args.state_dir:
            state.remove_superseded(args.state_dir, folder.name, timeout_s)


if __name__ == "__main__":
    cli.run(main, arguments(), preload=True)
