from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from contrastive_context.config.stages import Stages
from contrastive_context.config.study import load_study
from contrastive_context.errors import UserError
from contrastive_context.reruns.adoption import adopt

min_version("9.0")


configfile: "config.yaml"


try:
    study = load_study(config)
    if workflow.is_main_process:
        adopt(f"results/{study.run}")
except UserError as error:
    raise WorkflowError(str(error)) from None
stages = Stages(
    study, f"{workflow.basedir}/workflow_scripts", ".snakemake/code_versions.json"
)


include: "rules/common.smk"
include: "rules/packages.smk"
include: "rules/prefetch.smk"
include: "rules/models.smk"
include: "rules/corpus.smk"
include: "rules/embeddings.smk"
include: "rules/neighbours.smk"
include: "rules/paraphrases.smk"
include: "rules/train_contexts.smk"
include: "rules/finetune.smk"
include: "rules/frozen_contexts.smk"
include: "rules/generate.smk"
include: "rules/probe.smk"
include: "rules/score.smk"
include: "rules/tables.smk"
include: "rules/minimal_model.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        rules.build_report.output,
        rules.export_latex.output,
        rules.prefetch.output if stages.hub_used else [],


rule report:
    input:
        rules.build_report.output,
