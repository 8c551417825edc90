from snakemake.utils import min_version

from contrastive_context.config import files as config_files
from contrastive_context.config.stages import Stages
from contrastive_context.config.study import load_study
from contrastive_context.reruns.adoption import adopt

min_version("9.0")

with config_files.told_by_snakemake():
    config_files.check_files(["config.yaml", *workflow.overwrite_configfiles])


configfile: "config.yaml"


with config_files.told_by_snakemake():
    study = load_study(config)
    if workflow.is_main_process:
        adopt(f"results/{study.run}")
    stages = Stages(
        study, f"{workflow.basedir}/workflow_scripts", ".snakemake/code_versions.json"
    )
    stages.check_finished()


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


# Before the first job, not in a dry run, and by this process alone.
onstart:
    if not study.only_finished:
        config_files.write_effective(study, f"{R}/config.yaml")


rule all:
    default_target: True
    input:
        rules.build_report.output,
        rules.export_latex.output,
        rules.prefetch.output if stages.hub_used and not study.only_finished else [],


rule report:
    input:
        rules.build_report.output,
