# What several rule files share. Inputs and resources that depend on the configuration are methods of these.
from shlex import quote

from contrastive_context.config.files import write_effective
from contrastive_context.config.grid import Grid
from contrastive_context.core import preloading
from contrastive_context.report import registration
from contrastive_context.workflow.inputs import Inputs
from contrastive_context.workflow.jobs import Jobs

grid, jobs = Grid(study), Jobs(study)
# The folder of the entry points, as it stands in commands.
S = quote(scripts).replace("{", "{{").replace("}", "}}")
inputs = Inputs(study, R, in_job=not snakemake_internals.is_main_process(workflow))


# Before the first job; neither in a dry run nor in the jobs' own processes. A report on what is finished may be made
# beside the study, whose record it leaves alone.
onstart:
    snakemake_internals.lift_default_rate_limit(workflow)
    write_effective(
        study, f"{R}/config{'.only_finished' if study.only_finished else ''}.yaml"
    )
    if not study.only_finished:
        registration.record(study, R)
    if study.cluster.preload:
        preloading.open_folder()


wildcard_constraints:
    encoder="[^/]+",
    entry="[^/]+",
    metric="comet|comet_qe",
    model="(?!nearest_label)[^/]+",
    package="[^/]+",
    paraphraser="[^/]+",
    registry="[^/]+",
    seed=r"\d+",
    split="[^/]+",
    strategy="[^/]+",
    system=r"base|[^/]+-seed\d+",
    task="[^/]+",


localrules:
    all,
    tables,
    figures,
    report,


# What `snakemake --report` shows, under the captions that our own report has too.
PAGE = f"{scripts}/contrastive_context/report"
shown = lambda path, category, title: report(
    path,
    caption=f"../workflow_scripts/contrastive_context/report/captions/{Path(path).stem}.rst",
    category=category,
    labels={"shows": title},
)
