import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

# The package beside this file, whatever is installed.
sys.path.insert(0, f"{workflow.basedir}/workflow_scripts")

from contrastive_context.config.study import load_study
from contrastive_context.core import gpus
from contrastive_context.core.errors import UserError
from contrastive_context.workflow import adoption, checking, snakemake_internals
from contrastive_context.workflow.progress import Reported
from contrastive_context.workflow.steps import Steps

min_version("9.0")

try:
    files = checking.begin(workflow)
except UserError as error:
    raise WorkflowError(str(error)) from None


configfile: files[0]


try:
    study = load_study(config, files, snakemake_internals.config_options(workflow))
    R = f"results/{study.run}"
    if snakemake_internals.is_main_process(workflow):
        adoption.adopt(R)
    scripts = checking.scripts_folder(workflow.basedir)
    os.environ[gpus.JOBS_PER_GPU] = str(study.cluster.jobs_per_gpu)
    steps = Steps(study, scripts, ".snakemake/code_versions.json")
    reported = Reported(steps, R)
except UserError as error:
    raise WorkflowError(str(error)) from None


include: "rules/common.smk"


# A report on what is finished makes none of what it is made from.
if not study.only_finished:

    include: "rules/results.smk"


include: "rules/nearest_label.smk"
include: "rules/score.smk"
include: "rules/tables.smk"
include: "rules/rebucket.smk"
include: "rules/minimal_model.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        rules.build_report.output,
        rules.export_latex.output,
        rules.prefetch.output if not study.only_finished and inputs.hub_used() else [],
