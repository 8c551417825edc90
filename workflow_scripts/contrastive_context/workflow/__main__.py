"""What stands around a run: ``python -m contrastive_context.workflow --help``."""

import argparse
import contextlib
import sys
from pathlib import Path

from contrastive_context.core.errors import UserError

_RESULTS = Path("results")
_ROW = "{:24} {:>6} {:>13} {:>17} {:>10}  {}"


def main() -> None:
    """Parse the command line and run the command; mistakes of the user are one line and status 2."""
    parser = argparse.ArgumentParser(prog="python -m contrastive_context.workflow", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("check", help="look for mistakes in a configuration")
    command.add_argument("configfiles", nargs="+", type=Path, help="as for snakemake --configfile, in that order")
    command.set_defaults(call=_check)
    command = commands.add_parser("plan", help="what would run, why, and how much of it; options go to snakemake")
    command.set_defaults(call=_plan)
    command = commands.add_parser("why", help="the definitions that a step's code version is made of")
    command.add_argument("step", help="name of the entry point: workflow_scripts/<step>.py")
    command.add_argument("--of", type=Path, metavar="FILE", help="a result, for what its settings look up by a name")
    command.set_defaults(call=_why)
    command = commands.add_parser("prompt", help="a prompt as text and tokens; other options are as for snakemake")
    command.add_argument("task", help="key under tasks")
    command.add_argument("model", help="key under models, prepared in the run's folder")
    command.add_argument("--target", metavar="ID", help="the beginning of a target's id")
    command.set_defaults(call=_prompt)
    command = commands.add_parser("verify", help="check every hash of a run's folder; status 1 if something is wrong")
    command.add_argument("run", help="name of the run: results/<run>")
    command.set_defaults(call=_verify)
    command = commands.add_parser("accept", help="let results of a step stand although its code changed")
    command.add_argument("run", help="name of the run: results/<run>")
    command.add_argument("step", help="name of the entry point: workflow_scripts/<step>.py")
    command.set_defaults(call=_accept)
    command = commands.add_parser("verdicts", help="the verdicts of a finished run as a Markdown table")
    command.add_argument("run", help="name of the run: results/<run>")
    command.set_defaults(call=_verdicts)
    command = commands.add_parser("headroom", help="floor and ceiling of every bucket of the synthetic tasks of a run")
    command.add_argument("run", help="name of the run: results/<run>, in which contexts are frozen")
    command.set_defaults(call=_headroom)
    command = commands.add_parser("power", help="how many seeds each claim needs, by the noise of a finished run")
    command.add_argument("run", help="name of the run: results/<run>")
    command.add_argument("--seeds", nargs="+", type=int, default=[3, 5, 8], help="training runs (default: 3 5 8)")
    command.add_argument("--times", nargs="+", type=float, default=[1, 2], help="times its targets (default: 1 2)")
    command.set_defaults(call=_power)
    command = commands.add_parser("licences", help="list the models, encoders and data that a study's grid uses")
    command.add_argument("configfiles", nargs="+", type=Path, help="as for snakemake --configfile, in that order")
    command.set_defaults(call=_licences)
    arguments, options = parser.parse_known_args()
    if options and arguments.call not in (_plan, _prompt):
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    try:
        sys.exit(arguments.call(arguments, options))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _check(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.workflow.checking import read_study
    from contrastive_context.workflow.model_checks import check_models

    study = read_study(arguments.configfiles)
    models = check_models(study)
    trainings = sum(len(entry.models) * len(entry.strategies) * len(entry.seeds) for entry in study.grid)
    print(f"no mistakes found; run: {study.run}, entries of the grid: {len(study.grid)}, fine-tunings: {trainings}")
    for what, names in (("looked at", models.seen), ("not looked at, as their files aren't here yet", models.absent)):
        if names:
            print(f"models {what}: {', '.join(names)}")
    return 0


def _plan(_: argparse.Namespace, options: list[str]) -> int:
    from contrastive_context.core.sidecars import all_sidecars
    from contrastive_context.workflow import planning
    from contrastive_context.workflow.checking import check_command
    from contrastive_context.workflow.snakemake_internals import parse_command

    check_command(options)
    jobs = planning.parse_dry_run(planning.dry_run(options))
    command = parse_command(options)
    with contextlib.chdir(command.folder if command else "."):
        stages = planning.plan(jobs, all_sidecars(_RESULTS))
    if not stages:
        print("nothing to be done")
        return 0
    print(_ROW.format("stage", "jobs", "prompts", "tokens", "MB", "why"))
    for stage in [*stages, planning.total(stages)]:
        first, *others = [
            cause if count == stage.jobs else f"{cause} ({count})" for cause, count in stage.causes.most_common()
        ] or [""]
        size = stage.size.shown(lambda size: f"{size / 1e6:,.1f}")
        print(_ROW.format(stage.rule, stage.jobs, stage.prompts.shown(), stage.tokens.shown(), size, first).rstrip())
        for cause in others:
            print(_ROW.format("", "", "", "", "", cause))
    print(
        "tokens: counted where the contexts exist (answers to come are not); else, as MB always, of the jobs' last run "
        "or of others for the same task and model; else ≤ as many as the configuration allows; ≥ known so far; "
        "? if none ran"
    )
    return 0


def _why(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.core.sidecars import SUFFIX, read_sidecar
    from contrastive_context.workflow.code_versions import CodeVersions

    versions = CodeVersions(scripts := _scripts(arguments.step), Path(".snakemake/code_versions.json"))
    settings = read_sidecar(Path(f"{arguments.of}{SUFFIX}")).record["settings"] if arguments.of else None
    reached = versions.reached(arguments.step, settings)
    for module, name in sorted(reached.hashes):
        user = ".".join(filter(None, reached.because[module, name])).removeprefix("contrastive_context.")
        print(f"{scripts.name}/{versions.line(module, name):<64} {name:<40} used by {user}")
    for module, name in reached.whole:
        print(f"all of {'.'.join([module, name.removesuffix('[]')]).removesuffix('.*')}: it can't be told which part")
    print(f"code version of {arguments.step}: {reached.version}, of {len(reached.hashes)} definitions and files")
    return 0


def _prompt(arguments: argparse.Namespace, options: list[str]) -> int:
    from contrastive_context.workflow.checking import read_study
    from contrastive_context.workflow.prompt_view import view
    from contrastive_context.workflow.snakemake_internals import parse_command

    command = parse_command(options)
    if command is None:
        raise UserError(f"snakemake doesn't know the options {' '.join(options)}")
    with contextlib.chdir(command.folder):
        study = read_study(command.files, command.options)
        print(view(study, arguments.task, arguments.model, arguments.target, _RESULTS))
    return 0


def _verify(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.workflow.verification import verify

    problems = list(verify(_folder(arguments.run)))
    for problem in problems:
        print(f"{problem.state:9} {problem.path}: {problem.reason}")
    print(f"{_folder(arguments.run)}: {len(problems)} problem(s)" if problems else "every hash agrees")
    return 1 if problems else 0


def _accept(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.core.sidecars import all_sidecars
    from contrastive_context.workflow.acceptance import accept
    from contrastive_context.workflow.code_versions import CodeVersions

    versions = CodeVersions(_scripts(arguments.step), Path(".snakemake/code_versions.json"))
    sidecars = [sidecar for sidecar in all_sidecars(_folder(arguments.run)) if sidecar.step == arguments.step]
    # Which modules a step uses may depend on its settings.
    versioned = [(sidecar, versions.of(arguments.step, sidecar.record["settings"])) for sidecar in sidecars]
    count = sum(accept([sidecar], arguments.step, version) for sidecar, version in versioned)
    print(f"{count} result(s) of {arguments.step} accepted as made by the present code")
    return 0


def _verdicts(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.core import artifacts, paths
    from contrastive_context.tables import markdown
    from contrastive_context.tables.settings import PresentationSettings
    from contrastive_context.workflow.checking import read_study

    folder = _folder(arguments.run)
    findings = artifacts.read_parquet(folder / paths.table("findings"), ("claim", "task", "model", "verdict", "reason"))
    print(markdown.summary(findings, PresentationSettings.of(read_study([folder / "config.yaml"]))), end="")
    return 0


def _headroom(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.config.grid import Grid
    from contrastive_context.config.sources import IdiomCorpus, LexiconCorpus
    from contrastive_context.contexts import headroom
    from contrastive_context.workflow.checking import read_study

    folder = _folder(arguments.run)
    study = read_study([folder / "config.yaml"])
    corpora = {task: study.tasks[task].corpus for task in Grid(study).tasks}
    synthetic = {task: corpus for task, corpus in corpora.items() if isinstance(corpus, IdiomCorpus | LexiconCorpus)}
    if not synthetic:
        raise UserError(f"{folder}: no task is synthetic, so what can be reached isn't known")
    for task, corpus in synthetic.items():
        print(f"{task}, token accuracy")
        print(headroom.table(corpus, folder, task).to_string(float_format=lambda value: f"{value:.3f}"))
    return 0


def _power(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.tables import power, tidy
    from contrastive_context.tables.settings import BuildTablesSettings
    from contrastive_context.workflow.checking import read_study

    if min(arguments.seeds) < 2:
        raise UserError("--seeds: two or more, as one run doesn't say how runs vary")
    folder = _folder(arguments.run)
    settings = BuildTablesSettings.of(read_study([folder / "config.yaml"]))
    scores = tidy.score_cells(tidy.read_scores(sorted(folder.glob("scores/*/*.parquet"))), settings.statistics)
    probes = tidy.probe_cells(tidy.read_probes(sorted(folder.glob("probes/*/*/*.parquet"))), settings.statistics)
    found = power.table(scores, probes, settings, arguments.seeds, arguments.times)
    if not len(found):
        raise UserError(f"{folder}: no claim was judged over several training runs of each model")
    print(
        "Power to show a true effect of the smallest size that counts, against the hardest of Holm's tests / the\n"
        f"effect that shows with a power of {power.ENOUGH:g}. run_sd: of one model's training runs; target_se: from "
        "the run's\ntargets; both of the pair of systems that is hardest to tell apart."
    )
    sizes = [f"{runs} runs, targets × {times:g}" for runs, times in zip(found["runs"], found["times"], strict=True)]
    texts = [f"{value:.2f} / {least:.3f}" for value, least in zip(found["power"], found["detectable"], strict=True)]
    claims = ["task", "test_set", "claim"]
    wide = found.assign(size=sizes, text=texts).pivot(index=claims, columns="size", values="text")
    noise = found.groupby(claims, sort=False)[["effect", "run_sd", "target_se"]].first()
    print(noise.join(wide[list(dict.fromkeys(sizes))]).to_string(float_format=lambda value: f"{value:.3f}"))
    return 0


def _licences(arguments: argparse.Namespace, _: list[str]) -> int:
    from contrastive_context.report.licences import licences
    from contrastive_context.report.usage import effective_config
    from contrastive_context.workflow.checking import read_study

    study = read_study(arguments.configfiles)
    tasks = list(dict.fromkeys(entry.task for entry in study.grid))
    models = list(dict.fromkeys(model for entry in study.grid for model in entry.models))
    for row in licences(effective_config(study.model_dump(mode="json"), tasks, models), {}):
        print(f"{row.name:<44}{row.version:<16}{row.licence}")
    return 0


def _scripts(step: str) -> Path:
    """Return the folder of the entry points, of which the step must be one: the one here, else the package's own."""
    here = Path("workflow_scripts")
    scripts = here if here.is_dir() else Path(__file__).parents[2]
    if not (scripts / f"{step}.py").is_file():
        known = ", ".join(sorted(path.stem for path in scripts.glob("*.py")))
        raise UserError(f"no step {step!r}; known: {known}")
    return scripts


def _folder(run: str) -> Path:
    folder = _RESULTS / run
    if not run or not folder.is_dir():
        known = ", ".join(sorted(path.name for path in _RESULTS.glob("*") if path.is_dir())) or "none"
        raise UserError(f"no results of a run {run!r} here; known: {known}")
    return folder


if __name__ == "__main__":
    main()
